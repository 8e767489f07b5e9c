"""Reports draw what the judge found: ``formats`` lists how. They decide nothing."""
