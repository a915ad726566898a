"""Resource → AWS shape: the only files that know AWS's field names for what is answered."""
