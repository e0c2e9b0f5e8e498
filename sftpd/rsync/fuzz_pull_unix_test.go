//go:build unix

package rsync

import (
	"bytes"
	"io"
	"testing"
	"testing/fstest"
	"time"
)

// FuzzPull has files asked for by any client: each six bytes are a request with its sums, which may be those of the file, others, or
// break off. The file has enough blocks to be read, and answered, while they come.
func FuzzPull(f *testing.F) {
	f.Add(byte(4), []byte{1, 0, 0, 4, 0xff, 0})
	f.Add(byte(4), []byte{1, 0, 7, 4, 0xff, 0, 1, 0, 1, 2, 0xff, 1})
	f.Add(byte(2), []byte{1, 0, 0, 16, 0x80, 0})
	f.Add(byte(3), []byte{1, 0x82, 0, 3, 0xff, 2, 2, 0, 0, 2, 0x7f, 0})
	const size = 12_000
	content := noise(4, size)
	tree := memory{fstest.MapFS{"src/big": {Data: content, Mode: 0o644}, "src/small": {Data: content[:900], Mode: 0o644}}}
	f.Fuzz(func(t *testing.T, version byte, asks []byte) {
		proto := protocols(version)
		algorithm := findAlgorithm("md5")
		if proto < 30 {
			algorithm = md4Old
		}
		strong := newBlockHash(algorithm, 7)
		s := say(proto).rules()
		for n := 0; n < 4 && len(asks) >= 6; n++ {
			ndx, basis, kind, strongLen, part, change := asks[0], asks[1], asks[2], int32(asks[3])%18, int(asks[4]), int(asks[5])
			asks = asks[6:]
			flags := uint16(itemTransfer)
			if basis != 0 {
				flags |= itemBasisType
			}
			s.item(int32(ndx)%4, flags)
			if basis != 0 && proto >= 29 {
				s.data([]byte{basis})
			}
			blockLen := 1 + int32(kind)%3
			blocks := size/blockLen - int32(kind)/3
			s.ints(blocks, blockLen, strongLen, int32(change)%blockLen)
			copied := bytes.Clone(content)
			for i := range int(blocks) {
				if change > 0 && i%(change*40) == 1 {
					copy(copied[i*int(blockLen):][:blockLen], "another")
				}
			}
			head := sumHead{count: blocks, blockLen: blockLen, strongLen: min(strongLen, 16)}
			s.data(sumsOf(copied, head, strong).wire(0, blocks*int32(part)/255))
		}
		s.data(asks)
		srv := &Server{Source: tree, MaxFiles: 1000, seed: func() int32 { return 7 }}
		start := time.Now()
		code := srv.Serve(t.Context(), "rsync --server --sender -ltpre.LsfxC . src/", pipe{bytes.NewReader(s.pieces[0]), io.Discard}, io.Discard)
		if code < 0 || code > 255 || time.Since(start) > 10*time.Second {
			t.Fatalf("code %d after %v", code, time.Since(start))
		}
	})
}
