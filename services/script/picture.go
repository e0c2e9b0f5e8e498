package script

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures are PNG or JPEG
	_ "image/png"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of a picture, beside its size in bytes: what Telegram takes, and what decoding it costs.
const (
	maxSide   = 8000
	maxPixels = 16 << 20
)

// checkPicture tells whether bytes are a whole PNG or JPEG of bearable size, and which. Its size is read first, so that a small
// file which unfolds to gigabytes is never unfolded. Errors are sentences for the author.
func checkPicture(data []byte) (ext string, err error) {
	c, kind, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return "", errors.New("it is no PNG or JPEG")
	}
	if c.Width > maxSide || c.Height > maxSide || c.Width*c.Height > maxPixels {
		return "", fmt.Errorf("it is %d by %d pixels, more than %d on a side or %d million", c.Width, c.Height, maxSide, maxPixels>>20)
	}
	if _, _, err := image.Decode(bytes.NewReader(data)); err != nil {
		return "", errors.New("it is damaged or cut off")
	}
	if kind == "jpeg" {
		kind = "jpg"
	}
	return kind, nil
}

// keepPicture writes a picture under a name that nobody can guess. It is on disk before an alert names it.
func (s *Service) keepPicture(data []byte) (name string, err error) {
	s.decoding.Lock() // one at a time, as a decoded picture is large
	ext, err := checkPicture(data)
	s.decoding.Unlock()
	if err != nil {
		return "", &leftOut{err.Error()}
	}
	if err := os.MkdirAll(s.o.Pictures, 0o750); err != nil {
		return "", fmt.Errorf("pictures: %w", err)
	}
	name = strings.ToLower(rand.Text()) + "." + ext
	f, err := os.OpenFile(filepath.Join(s.o.Pictures, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return "", fmt.Errorf("pictures: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("pictures: %w", err), s.dropPicture(name))
	}
	return name, nil
}

func (s *Service) dropPicture(name string) error {
	if name == "" {
		return nil
	}
	return os.Remove(filepath.Join(s.o.Pictures, name))
}

// leftOut is why an alert goes without its picture.
type leftOut struct{ why string }

func (l *leftOut) Error() string { return l.why }
