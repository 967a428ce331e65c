"""Python types on the one side, JSON on the other: schemas out, typed values in. Nothing is imported here."""
