"""Open311 GeoReport v2: the city's app reports here, and reads what became of it.

Source: https://wiki.open311.org/GeoReport_v2/ (the published specification).
"""
