package profile

// hashSet holds hashes with open addressing; 0 stands for a free place, and for itself at a place of its own.
type hashSet struct {
	slots []uint64
	zero  bool
	n     int
}

// newHashSet makes a set with room for n hashes; it grows beyond.
func newHashSet(n int) *hashSet {
	size := 16
	for size < 2*n {
		size *= 2
	}
	return &hashSet{slots: make([]uint64, size)}
}

func (s *hashSet) add(h uint64) {
	if h == 0 {
		if !s.zero {
			s.zero = true
			s.n++
		}
		return
	}
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		if s.slots[i] == h {
			return
		}
		if s.slots[i] == 0 {
			s.slots[i] = h
			break
		}
	}
	if s.n++; 2*s.n > len(s.slots) {
		old := *s
		*s = *newHashSet(len(s.slots))
		old.each(s.add)
	}
}

func (s *hashSet) has(h uint64) bool {
	if h == 0 {
		return s.zero
	}
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; s.slots[i] != 0; i = (i + 1) & mask {
		if s.slots[i] == h {
			return true
		}
	}
	return false
}

func (s *hashSet) each(do func(uint64)) {
	if s.zero {
		do(0)
	}
	for _, h := range s.slots {
		if h != 0 {
			do(h)
		}
	}
}
