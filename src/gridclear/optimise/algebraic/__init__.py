"""The clearing as algebra, for researchers: models of the grid in Pyomo, solved by any solver that fits.

``grid`` takes the compiled network apart into series impedances, ideal transformers and shunts; ``decisions``
states what every clearing has in common; ``flows`` states the branch flow equations; ``lindistflow``,
``soc``, ``ac`` and ``relax_and_round`` are the models. Plans are judged by AC power flows of their own, like
those of every algorithm. Nothing else in gridclear imports Pyomo.
"""
