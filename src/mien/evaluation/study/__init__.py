"""A user study as in FaceCrafter's Tables 4 and 5: which of several methods' pictures do people choose?"""
