"""What a person has to say about each case in its README: why this window, and what to look for."""

from __future__ import annotations

WINDOW = {
    "mv-rural": """
A Monday in May, 08:00 to 15:00 local time: generation climbs from 6 to 16 MW over loads of 4 to 5 MW. A
power flow of every quarter-hour of the year (taps at 0, banks as here) breaks the upper voltage limit of
1.055 p.u. in 4,405 of 35,136, at buses 14 and 15 before all, behind thin overhead lines with 3.7 MW of
wind; loading stays below 59 %. Of the daytime windows in which that limit breaks in six to fourteen
quarter-hours while generation moves by more than 6 MW, this one has a quiet beginning and a stressed end.
""",
    "mv-urban": """
A cold Friday in January, 07:00 to 14:00 local time: SimBench's load climbs from 9 to 20 MW, 95 % of the
year's peak. A power flow of every quarter-hour of the year (taps at -1) finds no limit broken and no line
above 32 %: the grid as it is bears everything. Rather than narrowing its limits, we took a stressed
morning, added two large consumers and four battery parks, and let works on the head of a feeder coincide
with the charging of buses.
""",
    "hv-mixed": """
A Thursday in August, 11:00 to 18:00 local time: 1.05 to 1.53 GW of generation over loads of 90 to 165 MW.
The variant is SimBench's scenario of the far future (`--2`), because in hourly steps through the year no
line of today's grid (`--0`) passes 85 %. A power flow of every quarter-hour of the year (taps at 4)
overloads a line in 4,615 of 35,136, the double line 54/75 before all and by up to 73 %. In this window it
does so in few quarter-hours and by less than 10 %: most bids are free most of the time, and in those
quarter-hours few are.
""",
    "hvmv-mixed": """
The hours of hv-mixed, in SimBench's scenario of the near future (`--1`): 1.0 to 1.15 GW of generation over
loads of 200 to 220 MW, in the 110 kV grid and in the 15 medium-voltage grids under it.
""",
}

REMARKS = {
    "mv-rural": (
        """The forecast breaks the limit at buses 14 and 15 from 11:30 on: what raises the voltage there
        is red, as far as its least amount does not fit into the tolerance.""",
        """The battery at bus 82 sits near the substation: full output overloads the cable `MV1.101 Line
        75`.""",
        """At the ends of the long feeders (buses 24, 47, 77) voltage decides, upwards and downwards.""",
        """With `MV1.101 Line 22` out, feeder 3 and its wind hang on the thin line of feeder 7: some bids
        that would be green turn red or yellow, and the battery at bus 77 may charge, which it could not
        before. At 08:45 the forecast itself breaks the limit at bus 28.""",
        """With `MV1.101 Line 66` out, buses 69 and 70 are islanded, wind included: red.""",
        """The regulator of the two parallel transformers finds its voltage inside the dead band around
        SimBench's set point all the time.""",
    ),
    "mv-urban": (
        """With `MV3.101 Line 49` out, feeder 7 and the charging buses hang on the end of feeder 9, whose
        cables are overloaded by the forecast from 09:00 to 11:30: what draws more there is red, what
        draws less relieves.""",
        """Feeding in fully, the batteries at the ends of feeders 7 and 8 (buses 76 and 93) break the
        upper voltage limit.""",
        """Charging fully, the battery at bus 143 overloads `MV3.101 Line 126`.""",
        """With `MV3.101 Line 8` out, bus 18 is islanded: the bids of its battery and its load are red.""",
        """The two transformers feed separate busbars. Each is regulated on its own, to SimBench's set
        point; the first moves within the window, the second stays.""",
    ),
    "hv-mixed": (
        """The forecast overloads the double line `HV1 Line 54`/`HV1 Line 75` in four quarter-hours. In
        the meshed grid nearly every bid then adds to it or relieves it.""",
        """From 13:30 on the forecast breaks the upper voltage limit of 1.1 p.u. around buses 35 and 85,
        far from the three substations. Curtailing generation can worsen that, because lines with less
        load on them consume less reactive power.""",
        """With `HV1 Line 71` out, its twin carries all: some bids that would be green turn yellow, for
        voltage.""",
        """With `HV1 Line 122` out, buses 321 and 330 are islanded with 64 MW of wind: red.""",
        """The transformers at the 220 kV border are regulated as one group and move within the window;
        the pairs at the 380 kV border keep their positions.""",
    ),
    "hvmv-mixed": (
        """It is here for its size: 36 transformers with tap changers, all of which a clearing may move.""",
        """The positions of the tap changers keep the forecast's voltages below 110 kV in their limits of
        0.965 to 1.055 p.u.; at SimBench's own positions they are up to 1.12 p.u.""",
    ),
}
