package columnar

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Names of the partitions of rows that have no value, or an empty text, in the partition column. The names of values
// never begin with an underscore.
const (
	NullPartition  = "_null"
	EmptyPartition = "_empty"
)

var partitionLayouts = map[string]string{"day": "2006_01_02", "month": "2006_01", "year": "2006"}

// Partitions gives for each row the number of its partition, and the partitions' names: 2026_03_09, 2026_03 or 2026 for
// the granularities day, month and year of a date or time (in UTC where it has a zone), the value itself for value.
func (r *Rows) Partitions(column, granularity string) (of []int32, names []string, err error) {
	c, err := r.column(column)
	if err != nil {
		return nil, nil, fmt.Errorf("partition_by: %w", err)
	}
	layout, t := partitionLayouts[granularity], r.columns[c].Type
	if layout == "" && granularity != "value" {
		return nil, nil, fmt.Errorf("partition_granularity %q is not one of day, month, year, value", granularity)
	}
	of = make([]int32, r.n)
	number, cache := map[string]int32{}, map[string]int32{}
	var key []byte
	for row := range of {
		i := at(r.pos[c], row)
		key = append(key[:0], 'n')
		if i >= 0 {
			key = append(key[:0], 'v')
			if micros, timed := r.micros(c, i); timed && layout != "" {
				key = bigEndian(key, uint64(floorDiv(micros, microsPerDay)))
			} else {
				key = format(key, &r.vectors[c], i, t)
			}
		}
		n, known := cache[string(key)]
		if !known {
			name, err := r.partitionName(c, i, granularity)
			if err != nil {
				return nil, nil, err
			}
			if n, known = number[name]; !known {
				n = int32(len(names))
				number[name], names = n, append(names, name)
			}
			if len(cache) < 1<<16 {
				cache[string(key)] = n
			}
		}
		of[row] = n
	}
	return of, names, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// micros gives the time of a value of a date or timestamp column.
func (r *Rows) micros(c, i int) (int64, bool) {
	switch r.columns[c].Type.Kind {
	case Date:
		return int64(r.vectors[c].Days[i]) * microsPerDay, true
	case Timestamp:
		return r.vectors[c].Ints[i], true
	}
	return 0, false
}

func (r *Rows) partitionName(c, i int, granularity string) (string, error) {
	if i < 0 {
		return NullPartition, nil
	}
	if granularity == "value" {
		return safePartition(string(format(nil, &r.vectors[c], i, r.columns[c].Type))), nil
	}
	micros, timed := r.micros(c, i)
	if !timed {
		text := format(nil, &r.vectors[c], i, r.columns[c].Type)
		if len(text) == 0 {
			return EmptyPartition, nil
		}
		var ok bool
		if micros, _, _, ok = isoTimestamp(text); !ok {
			var days int64
			if days, ok = isoDate(text); !ok || len(text) != 10 {
				return "", fmt.Errorf("partition_by: column %s: %q is not a date (YYYY-MM-DD...): fix the value, or set partition_granularity: value",
					r.columns[c].Name, clip(text))
			}
			micros = days * microsPerDay
		}
	}
	return civilOf(micros).Format(partitionLayouts[granularity]), nil
}

// maxPartitionName leaves room for a hash and an ending in file systems that take 255 bytes.
const maxPartitionName = 120

// safePartition makes a value a file name on every system: letters, digits, "-" and inner "_" and "." stay, all else is
// written as %XX.
func safePartition(v string) string {
	if v == "" {
		return EmptyPartition
	}
	var b strings.Builder
	for i := range len(v) {
		c := v[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', i > 0 && (c == '_' || c == '.') && i < len(v)-1:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= maxPartitionName {
		return b.String()
	}
	sum := sha256.Sum256([]byte(v))
	return b.String()[:maxPartitionName-17] + "-" + hex.EncodeToString(sum[:8])
}

// PartitionEnd gives the first moment behind a partition of a time granularity; ok is false for all other partitions.
func PartitionEnd(name, granularity string) (end time.Time, ok bool) {
	layout := partitionLayouts[granularity]
	if layout == "" {
		return end, false
	}
	start, err := time.Parse(layout, name)
	if err != nil {
		return end, false
	}
	switch granularity {
	case "day":
		return start.AddDate(0, 0, 1), true
	case "month":
		return start.AddDate(0, 1, 0), true
	}
	return start.AddDate(1, 0, 0), true
}
