SELECT 1; -- a constraint that is valid does no harm
