"""The pytest plug-in ``assay-driver-contract``: lets the asserts of the contract tell what they saw.

It collects nothing by itself: the tests are those of :class:`agents.testing.driver_contract.DriverContract` where
somebody derives a class from it. It imports nothing but pytest, so that a run that needs no driver pays nothing.
"""

import pytest

pytest.register_assert_rewrite("agents.testing.driver_contract")
