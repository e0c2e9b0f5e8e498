package syncer

import (
	"cmp"
	"fmt"
	"strings"
)

// A source can answer in good form and yet be wrong: a listing that broke off, an export of a database that was just being
// filled. So a table that has rows loses many of them only with a second witness: the source's own count of rows, the
// description, or `aida sync TABLE --full`.

const (
	// removesFreely is how many rows one reconcile takes away whatever their share is; tables of this size change much.
	removesFreely = 1000
	// maxRemoved is the share of a table's rows, in percent, that one reconcile may take away.
	maxRemoved = 50
)

// emptied refuses that a table which has rows is replaced by none. counted is the source's own number of rows, if it gives one.
func (w *work) emptied(c *content, counted *int64) error {
	had := w.heldRows()
	if c.rows() > 0 || had == 0 || w.u.r.Full || w.j.doc.MayBeEmpty || counted != nil && *counted == 0 || !w.usable {
		return nil
	}
	return w.named(fmt.Errorf("the source gave no rows, though the table has %s: it stays as it is; if the source really is empty now, "+
		"run `aida sync %s --full`, or set may_be_empty: true", thousands(had), w.row.Table))
}

// removes refuses that a list of keys takes away more rows than is likely to be true.
func (w *work) removes(keys int64, counted *int64) func(gone, have int64) error {
	return func(gone, have int64) error {
		if counted != nil && *counted == keys {
			return nil
		}
		if keys == 0 && have > 0 && !w.j.doc.MayBeEmpty {
			return fmt.Errorf("reconcile: the source lists no keys, though the table has %s rows: it stays as it is; if the source really is empty now, "+
				"run `aida sync %s --full`, or set may_be_empty: true", thousands(have), w.row.Table)
		}
		share := int64(cmp.Or(w.j.doc.ReconcileMaxRemoved, maxRemoved))
		if gone > removesFreely && gone > have/100*share+have%100*share/100 {
			return fmt.Errorf("reconcile: the source lists %s keys, by which %s of the table's %s rows would leave, more than the %d %% of reconcile_max_removed: "+
				"it stays as it is; if they really are gone, run `aida sync %s --full`, or raise reconcile_max_removed",
				thousands(keys), thousands(gone), thousands(have), share, w.row.Table)
		}
		return nil
	}
}

func (w *work) heldRows() (n int64) {
	for _, f := range w.have {
		n += f.Rows
	}
	return n
}

// thousands writes a number with commas.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if left := len(digits) - i; i > 0 && left%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
