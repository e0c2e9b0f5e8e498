package profile

import (
	"fmt"
	"time"
)

// quarters counts days by quarter. Values that follow each other are mostly of one quarter, whose bounds it remembers.
type quarters struct {
	perDay   int64 // units of a value in a day
	into     map[int32]int64
	from, to int64 // the remembered quarter, in units
	quarter  int32
	count    int64
}

func (q *quarters) add(value, n int64) {
	if value < q.from || value >= q.to {
		q.flush()
		q.find(value)
	}
	q.count += n
}

func (q *quarters) find(value int64) {
	days := value / q.perDay
	if value%q.perDay < 0 {
		days--
	}
	y, m, _ := time.Unix(days*86_400, 0).UTC().Date()
	start := (m-1)/3*3 + 1
	q.quarter = int32(y)*4 + int32(m-1)/3
	q.from = time.Date(y, start, 1, 0, 0, 0, 0, time.UTC).Unix() / 86_400 * q.perDay
	q.to = time.Date(y, start+3, 1, 0, 0, 0, 0, time.UTC).Unix() / 86_400 * q.perDay
}

func (q *quarters) flush() {
	if q.count > 0 {
		q.into[q.quarter] += q.count
		q.count = 0
	}
}

func quarterName(q int32) string { return fmt.Sprintf("%04d-Q%d", q/4, q%4+1) }
