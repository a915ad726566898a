"""``NextToken`` of lists."""

from __future__ import annotations

from havre.control.paging import Paging

METRICS_PAGE = 500
LISTS = Paging("", "NextToken", "InvalidParameterValueException", "Invalid nextToken")
DATA = Paging("", "NextToken", "InvalidNextToken", "The parameter NextToken is invalid.")
ALARMS = Paging("MaxRecords", "NextToken", "InvalidNextToken", "The parameter NextToken is invalid.")
