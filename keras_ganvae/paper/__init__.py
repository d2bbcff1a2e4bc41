"""The paper's claims tested on runs side by side, and the report of the comparison."""
