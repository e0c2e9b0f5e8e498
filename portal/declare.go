package portal

import "context"

// Declarations is data_description.md, in which an admin says what tables there are: it is read, and changed with care, by
// whoever is handed in.
type Declarations interface {
	// Declared gives what is written of a table, by its source id.
	Declared(ctx context.Context, id string) (Declared, error)
	// All gives what is written of every table.
	All(ctx context.Context) (Described, error)
	// Preview tells what a change would do to the file, and does nothing.
	Preview(ctx context.Context, c Change) (Preview, error)
	// Save does it, unless the file is not the one that the admin saw. Tables are synced as it says from then on. It gives the
	// state of the file that came of it.
	Save(ctx context.Context, actor string, c Change) (seen string, err error)
	// Discover lists what the source has.
	Discover(ctx context.Context) ([]Candidate, error)
}

// Declaration is what is written of a table and can be changed from here. Empty means that the key is not there.
type Declaration struct {
	ID, Name, Folder  string
	Description       string
	PrimaryKey        []string
	Strategy          string
	IncrementalColumn string
	WindowDays        string
	PartitionBy       string
	Granularity       string
	Dataset           string
	Schedule          string
	OnBadRow          string
	Schema            string
	ChunkDays         string
	ForeignKeys       []ForeignKey
	WhereFilters      []WhereFilter
	Columns           []DeclaredColumn
}

// ForeignKey tells that a column holds keys of another table.
type ForeignKey struct {
	Column      string `json:"column"`
	References  string `json:"references"` // table.column
	Description string `json:"description,omitempty"`
}

// WhereFilter is a condition on rows that the source checks.
type WhereFilter struct {
	Column   string   `json:"column"`
	Operator string   `json:"operator"` // eq, ne, gt, ge, lt or le
	Values   []string `json:"values"`
}

// DeclaredColumn is what is written of a column.
type DeclaredColumn struct {
	Name, Type, Description string
	Sensitive               bool
}

// Declared is a declaration with where it stands.
type Declared struct {
	Declaration
	Table       string // folder.name, as All finds it with the mapping of folders
	File, Place string // Place is file and line
	Seen        string // the state of the file, to be given back with a change
	Fixed       string // why the columns cannot be changed from here; "" = they can
}

// Described is the whole description. Names and folders of its tables are what the mapping makes of them.
type Described struct {
	Tables  []Declared
	Folders map[string]string // bucket -> folder
	Seen    string
}

// Change is what an admin wants a declaration to be. New adds the table, with Path where its file is; Gone takes it out.
// NewName and NewFolder are written unless they are empty: the table moves there with its next sync.
type Change struct {
	Declaration
	NewName   string
	NewFolder string

	New  bool
	Gone bool
	Path string
	Seen string
}

// Preview is what a change would do.
type Preview struct {
	File string
	Diff []DiffLine
}

// DiffLine is a line of a file before and after a change: ' ' stays, '-' goes, '+' comes, '…' stands for lines in between.
type DiffLine struct {
	Mark         string
	Before, Text string // Before is the number of the line before or after the change
}

// Candidate is a table that the source has.
type Candidate struct {
	ID, Bucket, Name, Folder, Description string
	Path                                  string
	PrimaryKey                            []string
	Rows                                  int64 // -1 = not known
	Columns                               int
	Described                             bool
}
