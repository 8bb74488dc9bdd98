"""Open311 GeoReport v2: reports out, their updates back.

Source: https://wiki.open311.org/GeoReport_v2/ (the published specification).
"""
