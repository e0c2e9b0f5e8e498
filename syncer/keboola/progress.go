package keboola

import "sync"

// progress makes one measure of the download and the conversion: each is half of what Result.Size announced. When that
// is not known, it is the bytes that went through.
type progress struct {
	d    *data
	tell func(bytes, rows int64) // may be nil

	mu    sync.Mutex
	bytes int64 // fetched
	total int64 // to fetch; 0 = not known
	told  int64
}

func (p *progress) expect(f *file) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.SizeBytes != nil {
		p.total = *f.SizeBytes
	}
}

func (p *progress) fetched(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes += n
	if p.d.size < 0 {
		p.say(p.bytes, 0)
	} else {
		p.say(p.share(p.bytes, p.total), 0)
	}
}

func (p *progress) converted(consumed, rows int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var spooled int64
	for _, s := range p.d.slices {
		spooled += s.size
	}
	if p.d.size < 0 {
		p.say(spooled+consumed, rows)
	} else {
		p.say(p.d.size/2+p.share(consumed, spooled), rows)
	}
}

// say never goes back: a slice that is fetched anew, or text that is read again, counts as done already.
func (p *progress) say(bytes, rows int64) {
	if p.told = max(p.told, bytes); p.tell != nil {
		p.tell(p.told, rows)
	}
}

// share is the part of half the announced size that done of total stands for.
func (p *progress) share(done, total int64) int64 {
	half := p.d.size / 2
	if total <= 0 {
		return min(done, half)
	}
	return int64(float64(half) * min(float64(done)/float64(total), 1))
}
