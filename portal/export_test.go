package portal

import "aida/portal/route"

// Routes are all doors, for the test that tries each.
func (p *Portal) Routes() []route.Route { return p.routes() }

// LocalPath is what follows a sign-in.
var LocalPath = localPath

// Randomart draws a fingerprint.
var Randomart = randomart

// AccuracyOf is what a metric's validation says of itself.
var AccuracyOf = accuracyOf

// VersionNumber is how the registry's older addresses tell a state of the description.
var VersionNumber = versionNumber

// TakesGzip tells whether a client reads gzip.
var TakesGzip = takesGzip
