// Package examples holds the annotated examples of the files that an admin edits: every key with what it means. It is data
// alone; a test keeps it true to what is read.
//
//	text := examples.Instance()
package examples

import "embed"

//go:embed instance.yaml env data_description.md
var files embed.FS

// Instance is instance.yaml with every key.
func Instance() []byte { return read("instance.yaml") }

// Env is .env with the variables that stand in for secrets.
func Env() []byte { return read("env") }

// Description is data_description.md with every key of a table.
func Description() []byte { return read("data_description.md") }

func read(name string) []byte {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is in the binary
	}
	return text
}
