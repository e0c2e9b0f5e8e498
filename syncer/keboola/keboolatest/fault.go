package keboolatest

import (
	"net/http"
	"strings"
)

// Fault is something that goes wrong with calls of one name: verify, table, tables, buckets, bucket-tables, export, job,
// file, manifest or slice.
type Fault struct {
	Call  string
	Path  string // only when the path contains this
	Skip  int    // how many calls go well before
	Times int    // how many calls go wrong; 0 = 1, -1 = all

	Status     int    // answer with this status
	RetryAfter string // and this header
	Body       string // and this body
	Drop       bool   // close the connection without an answer
	Cut        int64  // close the connection after so many bytes of the body
	Stall      int64  // send nothing more after so many bytes of the body
	Short      int64  // answer, well-formed, with so many bytes of the body alone
	NoRanges   bool   // answer with the whole body, whatever part was asked for
	Hook       func() // called before the answer, which is then the usual one
}

// Inject makes something go wrong from now on.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults = append(s.faults, &f)
}

func (s *Server) fault(call string, r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Call != call || f.Times == 0 || !strings.Contains(r.URL.Path, f.Path) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return f
	}
	return nil
}

// fail answers with a fault, and tells whether that was the answer.
func (s *Server) fail(f *Fault, w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
	switch {
	case f.Hook != nil:
		f.Hook()
		return false
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	case f.NoRanges:
		r.Header.Del("Range")
		r.Header.Del("If-Match")
		return false
	case f.Short > 0:
		serve(&short{ResponseWriter: w, left: f.Short, fix: true}, r)
	case f.Cut > 0:
		serve(&short{ResponseWriter: w, left: f.Cut}, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case f.Stall > 0:
		serve(&short{ResponseWriter: w, left: f.Stall}, r)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	}
	return true
}

// short lets only the first bytes of a body through.
type short struct {
	http.ResponseWriter
	left int64
	fix  bool // and says that there are no more
}

func (w *short) WriteHeader(status int) {
	if w.fix {
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *short) Write(p []byte) (int, error) {
	n := min(int64(len(p)), w.left)
	w.left -= n
	if _, err := w.ResponseWriter.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
