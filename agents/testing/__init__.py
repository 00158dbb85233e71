"""What Assay ships for the tests of drivers that are packages of their own. Only here is pytest imported."""
