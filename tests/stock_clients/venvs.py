"""The folder for the stock clients' venvs, 5 GB in all: only who names one pays for them."""

import os

VENVS = "PARFOCAL_STOCK_CLIENTS"
# Within a test it is taken away, as a server's settings are.
GIVEN = os.environ.get(VENVS, "")
