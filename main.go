// Aida is the AI Data Analyst appliance in one binary; see package app for its command line.
package main

import (
	"os"

	"aida/app"
)

func main() { os.Exit(app.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
