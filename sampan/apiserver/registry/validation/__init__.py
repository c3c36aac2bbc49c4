"""Checks that the strategies of several API groups share: names, numbers, addresses, selectors, changes."""
