"""Operations, one file a noun."""
