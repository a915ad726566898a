"""Engines that keep their world in memory and can be told to fail, be slow or lose an answer."""
