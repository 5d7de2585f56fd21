"""What readers, judges and networks read in pictures, as arrays with one row a picture."""
