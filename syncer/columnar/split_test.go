package columnar

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"
)

func TestABufferGrowsWithWhatIsRead(t *testing.T) {
	small := "id\n1\n"
	buf, eof, err := fill(strings.NewReader(small), nil, defaultBlockSize, false)
	if err != nil || !eof || string(buf) != small || cap(buf) > 128<<10 {
		t.Errorf("%q of %d bytes, eof %v, %v", buf, cap(buf), eof, err)
	}
	large := bytes.Repeat([]byte("0123456789abcde\n"), 40_000)
	for want := range 3 {
		want = want*300_000 + 1
		head := append([]byte(nil), large[:7]...)
		buf, eof, err := fill(iotest.HalfReader(bytes.NewReader(large[7:])), head, want, false)
		if err != nil || len(buf) < want || cap(buf) > max(want+want/8, 64<<10)*2 || !bytes.Equal(buf, large[:len(buf)]) || eof {
			t.Errorf("want %d: %d bytes of %d, eof %v, %v", want, len(buf), cap(buf), eof, err)
		}
	}
}
