package profile

import (
	"bytes"
	"encoding/gob"
	"fmt"

	"github.com/axiomhq/hyperloglog"
)

// exactDistinct is up to how many distinct values are told apart by their hashes; beyond it they are estimated.
const exactDistinct = 2048

// distinct counts different values by their hashes: exactly as long as they are few, then with a HyperLogLog sketch.
type distinct struct {
	precision uint8
	few       *hashSet
	sketch    *hyperloglog.Sketch
}

// newDistinct makes an empty count. Precision 14 is 2^14 bytes of memory and a standard error of 0.8 %.
func newDistinct(precision uint8) *distinct {
	return &distinct{precision: precision, few: newHashSet(0)}
}

func (d *distinct) add(h uint64) {
	if d.sketch != nil {
		d.sketch.InsertHash(h)
		return
	}
	if d.few.add(h); d.few.n > exactDistinct {
		d.estimate()
	}
}

func (d *distinct) estimate() {
	d.sketch, _ = hyperloglog.NewSketch(d.precision, false) // it fails on other precisions than those that are asked for
	d.few.each(d.sketch.InsertHash)
	d.few = nil
}

// merge takes in what was counted elsewhere.
func (d *distinct) merge(o *distinct) error {
	if o.few != nil {
		o.few.each(d.add)
		return nil
	}
	if d.sketch == nil {
		d.estimate()
	}
	return d.sketch.Merge(o.sketch)
}

// count gives the number, and whether it is exact.
func (d *distinct) count() (n int64, exact bool) {
	if d.few != nil {
		return int64(d.few.n), true
	}
	return int64(d.sketch.Estimate()), false
}

type keptDistinct struct {
	Precision uint8
	Few       []uint64
	Sketch    []byte
}

// GobEncode writes the count down.
func (d *distinct) GobEncode() ([]byte, error) {
	k := keptDistinct{Precision: d.precision}
	if d.few != nil {
		d.few.each(func(h uint64) { k.Few = append(k.Few, h) })
	} else {
		var err error
		if k.Sketch, err = d.sketch.MarshalBinary(); err != nil {
			return nil, fmt.Errorf("distinct values: %w", err)
		}
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(k)
	return b.Bytes(), err
}

// GobDecode reads it back.
func (d *distinct) GobDecode(data []byte) error {
	var k keptDistinct
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&k); err != nil {
		return err
	}
	*d = *newDistinct(k.Precision)
	if k.Sketch == nil {
		for _, h := range k.Few {
			d.add(h)
		}
		return nil
	}
	d.few, d.sketch = nil, &hyperloglog.Sketch{}
	return d.sketch.UnmarshalBinary(k.Sketch)
}
