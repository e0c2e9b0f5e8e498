package csv

// CheckRedirect is the rule that the connector's own client follows.
var CheckRedirect = checkRedirect
