"""Watching what serves: a window of production, what was measured of it, what is decided, and the record of that.

``decision`` decides, and knows neither database nor server. Its neighbours bring it what it asks for: ``window`` the
rows, ``facts`` the measurements, ``standing`` what happened before. ``steps`` are the tasks of ``monitor_<model>``.
"""
