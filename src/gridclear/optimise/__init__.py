"""Problems on arrays: allotment of shares under linear limits."""
