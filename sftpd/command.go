package sftpd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"aida/sftpd/rsync"
	"aida/store"

	"github.com/gliderlabs/ssh"
)

const helpText = `This is aida. There is no shell here; these work:

  sftp HOST                       browse: ls server/parquet, get -r server, put notes.md user/
  scp -r HOST:server .            copy
  rsync -a HOST:server/ server/   copy what is new
  ssh HOST whoami                 who you are and what signed you in
  ssh HOST tables [--json]        the tables that you can read
  ssh HOST status [--json]        the state of data, and of your quota
  ssh HOST help                   this text
`

// command runs what stands behind `ssh HOST`.
func (s *Server) command(sess ssh.Session, c *conn) int {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	raw := sess.RawCommand()
	if strings.TrimSpace(raw) == "" {
		fmt.Fprint(sess.Stderr(), helpText)
		return 1
	}
	args, err := words(raw)
	if err != nil || len(args) == 0 {
		fmt.Fprintf(sess.Stderr(), "aida: the command cannot be read: %v\n", err)
		return 2
	}
	s.o.Log.Debug("command", "user", c.identity.Load().user.Name, "name", args[0])
	asJSON := len(args) > 1 && args[1] == "--json"
	switch {
	case args[0] == "help":
		fmt.Fprint(sess, helpText)
		return 0
	case args[0] == "whoami":
		return s.whoami(sess, c)
	case args[0] == "tables":
		return s.tables(sess, c, asJSON)
	case args[0] == "status":
		return s.status(sess, c, asJSON)
	case raw == "echo ok" || raw == "echo 'ok'":
		fmt.Fprintln(sess, "ok")
		return 0
	case args[0] == "scp":
		return s.scp(sess, c, args[1:])
	case strings.HasPrefix(raw, "touch ~/server"): // the end of the reference's sync script
		if err := s.o.Store.MarkSync(sess.Context(), c.identity.Load().user.ID); err != nil {
			return s.fail(sess, err)
		}
		return 0
	case rsync.IsCommand(args[0]):
		return s.rsync(sess, c, raw)
	}
	fmt.Fprintf(sess.Stderr(), "aida: unknown command %q, there is no shell here: try help\n", args[0])
	return 127
}

// fail tells the person that something went wrong on the server's side.
func (s *Server) fail(sess ssh.Session, err error) int {
	s.o.Log.Error("command failed", "error", err)
	fmt.Fprintln(sess.Stderr(), "aida: that did not work, the reason is in the server's log")
	return 1
}

func (s *Server) whoami(sess ssh.Session, c *conn) int {
	id := c.identity.Load()
	fmt.Fprintf(sess, "%s\nrole    %s\nkey     %s %s\n", id.user.Name, id.user.Role, id.key.Fingerprint, id.key.Comment)
	if len(id.user.Groups) > 0 {
		fmt.Fprintf(sess, "groups  %s\n", strings.Join(id.user.Groups, ", "))
	}
	return 0
}

type tableLine struct {
	Name     string    `json:"name"`
	Rows     int64     `json:"rows"`
	Size     int64     `json:"size"`
	Files    int       `json:"files"`
	DataTime time.Time `json:"data_time,omitzero"`
}

func (s *Server) tables(sess ssh.Session, c *conn, asJSON bool) int {
	t, err := s.treeOf(sess.Context(), c)
	if err != nil {
		return s.fail(sess, err)
	}
	a := t.Access()
	lines := make([]tableLine, 0, len(a.Tables))
	place := map[int64]int{}
	for i, x := range a.Tables {
		place[x.ID] = i
		lines = append(lines, tableLine{Name: x.FullName(), DataTime: x.DataTime})
	}
	for _, f := range t.Snapshot().Files {
		if i, ok := place[f.TableID]; ok {
			lines[i].Rows, lines[i].Size, lines[i].Files = lines[i].Rows+f.Rows, lines[i].Size+f.Size, lines[i].Files+1
		}
	}
	if asJSON {
		return s.json(sess, lines)
	}
	w := tabwriter.NewWriter(sess, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tROWS\tBYTES\tDATA OF")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", l.Name, l.Rows, l.Size, when(l.DataTime))
	}
	w.Flush()
	return 0
}

func when(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}

func (s *Server) status(sess ssh.Session, c *conn, asJSON bool) int {
	t, err := s.treeOf(sess.Context(), c)
	if err != nil {
		return s.fail(sess, err)
	}
	var newest time.Time
	for _, x := range t.Access().Tables {
		if x.DataTime.After(newest) {
			newest = x.DataTime
		}
	}
	used, files, err := t.Used()
	if err != nil {
		return s.fail(sess, err)
	}
	u, err := s.o.Store.UserByName(sess.Context(), c.identity.Load().user.Name)
	if err != nil && store.CodeOf(err) != store.NotFound {
		return s.fail(sess, err)
	}
	snap := t.Snapshot()
	if asJSON {
		return s.json(sess, map[string]any{"generation": snap.Generation, "published_at": snap.CreatedAt, "data_time": newest, "tables": len(t.Access().Tables),
			"last_sync": u.LastSyncAt, "used_bytes": used, "used_files": files, "quota_bytes": s.o.HomeQuota, "quota_files": s.o.HomeFiles})
	}
	fmt.Fprintf(sess, "generation  %d, published %s\ntables      %d, newest data of %s\nlast sync   %s\nuser/       %d of %d MiB, %d of %d files\n",
		snap.Generation, when(snap.CreatedAt), len(t.Access().Tables), when(newest), when(u.LastSyncAt), used>>20, s.o.HomeQuota>>20, files, s.o.HomeFiles)
	return 0
}

func (s *Server) json(w io.Writer, v any) int {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return 1
	}
	return 0
}

// words splits a command line as a shell would, by POSIX quoting, and expands nothing.
func words(line string) (out []string, err error) {
	var word strings.Builder
	in, open := byte(0), false
	for i := 0; i < len(line); i++ {
		ch := line[i]
		switch {
		case in == '\'' && ch != '\'', in == '"' && ch != '"' && ch != '\\':
			word.WriteByte(ch)
		case in != 0 && ch == in:
			in = 0
		case ch == '\\':
			if i++; i == len(line) {
				return nil, fmt.Errorf("it ends with a backslash")
			}
			if in == '"' && !strings.ContainsRune("\"\\$`", rune(line[i])) {
				word.WriteByte('\\')
			}
			word.WriteByte(line[i])
			open = true
		case ch == '\'' || ch == '"':
			in, open = ch, true
		case ch == ' ' || ch == '\t' || ch == '\n':
			if open {
				out = append(out, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteByte(ch)
			open = true
		}
	}
	if in != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if open {
		out = append(out, word.String())
	}
	return out, nil
}
