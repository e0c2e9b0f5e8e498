package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// system are the folders of this machine that programs may read: its programs and libraries, and of /etc what those need.
var system = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

var settings = []string{"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/mime.types", "/etc/fonts", "/etc/matplotlibrc", "/etc/python3", "/etc/python3.11",
	"/etc/python3.12", "/etc/python3.13", "/etc/python3.14"}

// network are the settings that names and TLS need.
var network = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/services", "/etc/gai.conf"}

var devices = map[string]string{"/dev/null": "/dev/null", "/dev/zero": "/dev/zero", "/dev/urandom": "/dev/urandom", "/dev/random": "/dev/urandom"}

// view is a mount that is not in the new root yet.
type view struct {
	fd   int
	to   string
	dir  bool
	link string // in place of a mount: a symbolic link
}

// homeScratch is the size of the home folder itself, for caches.
const homeScratch = 16 << 20

// newRoot makes the root: all that is shown of this machine is looked up first, as afterwards nothing of it can be reached.
func newRoot(sp *spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts cannot be made our own: %w", err)
	}
	views, err := lookUp(sp)
	if err != nil {
		return err
	}
	base, err := mountPoint()
	if err != nil {
		return err
	}
	if err := tmpfs(base, 4<<20, sp.UID, "0755"); err != nil {
		return err
	}
	for _, dir := range []string{"proc", "dev", "tmp", "etc", "home" + "/" + sp.User, ".old"} {
		if err := os.MkdirAll(path.Join(base, dir), 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(tmpfs(path.Join(base, "tmp"), sp.Limits.Scratch, sp.UID, "0700"), tmpfs(path.Join(base, sp.home()), homeScratch, sp.UID, "0700")); err != nil {
		return err
	}
	for _, v := range views {
		if err := v.put(base); err != nil {
			return fmt.Errorf("%s: %w", v.to, err)
		}
	}
	if err := writeSettings(base, sp); err != nil {
		return err
	}
	if err := unix.Mount("proc", path.Join(base, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	return enter(base)
}

func mountPoint() (string, error) {
	for _, p := range []string{"/tmp", "/run", "/mnt", "/var"} {
		if i, err := os.Lstat(p); err == nil && i.IsDir() {
			return p, nil
		}
	}
	return "", errors.New("there is no folder to build a root on")
}

// tmpfs mounts memory for uid, which is ourselves when it is 0.
func tmpfs(dir string, size int64, uid int, mode string) error {
	o := fmt.Sprintf("size=%d,nr_inodes=16384,mode=%s", size, mode)
	if uid > 0 && mode == "0700" {
		o += fmt.Sprintf(",uid=%d,gid=%d", uid, uid)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, o); err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	return nil
}

// lookUp takes hold of all that is shown.
func lookUp(sp *spec) (out []view, err error) {
	add := func(from, to string, attr unix.MountAttr) error {
		v, err := take(from, to, attr)
		if err == nil {
			out = append(out, v)
		}
		return err
	}
	readOnly := uint64(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	for _, p := range sp.Folders {
		if err := add(p, p, unix.MountAttr{Attr_set: readOnly}); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	for _, p := range slices.Concat(system, settings) {
		i, err := os.Lstat(p)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		if i.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(p)
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(target, "/etc/") {
				out = append(out, view{to: p, link: target, fd: -1})
				continue
			}
		}
		if err := add(p, p, unix.MountAttr{Attr_set: readOnly}); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	if sp.Network {
		for _, p := range network {
			if _, err := os.Stat(p); err == nil {
				if err := add(p, p, unix.MountAttr{Attr_set: readOnly}); err != nil {
					return nil, fmt.Errorf("%s: %w", p, err)
				}
			}
		}
	}
	for to, from := range devices {
		if err := add(from, to, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC}); err != nil {
			return nil, fmt.Errorf("%s: %w", to, err)
		}
	}
	for _, m := range sp.Mounts {
		if !strings.HasPrefix(path.Clean(m.To), sp.home()+"/") {
			return nil, fmt.Errorf("%s is not below the home folder", m.To)
		}
		a := unix.MountAttr{Attr_set: readOnly | unix.MOUNT_ATTR_NOEXEC}
		if sp.IDMap {
			a.Attr_set |= unix.MOUNT_ATTR_IDMAP
			a.Userns_fd = fdMap
		}
		if err := add(m.From, path.Clean(m.To), a); err != nil {
			return nil, fmt.Errorf("%s: %w", m.To, err)
		}
	}
	return out, nil
}

// take makes a detached view of a file or folder. Mapped ones are of one file system, as each mount has to know of maps.
func take(from, to string, a unix.MountAttr) (view, error) {
	i, err := os.Stat(from)
	if err != nil {
		return view{}, err
	}
	flags, deep := uint(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE), uint(unix.AT_RECURSIVE)
	if a.Attr_set&unix.MOUNT_ATTR_IDMAP != 0 {
		flags, deep = unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC, 0
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, flags)
	if err != nil {
		return view{}, fmt.Errorf("view: %w", err)
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|deep, &a); err != nil {
		if a.Attr_set&unix.MOUNT_ATTR_IDMAP != 0 {
			return view{}, errors.New("its file system cannot map owners, which aida needs when it runs as root: run aida as a user of its own")
		}
		return view{}, fmt.Errorf("view: %w", err)
	}
	return view{fd: fd, to: to, dir: i.IsDir()}, nil
}

// put places a view in the new root.
func (v view) put(base string) error {
	to := path.Join(base, v.to)
	if err := os.MkdirAll(path.Dir(to), 0o755); err != nil {
		return err
	}
	if v.link != "" {
		return os.Symlink(v.link, to)
	}
	if v.dir {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
	} else if err := os.WriteFile(to, nil, 0o444); err != nil {
		return err
	}
	return errors.Join(unix.MoveMount(v.fd, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH), unix.Close(v.fd))
}

func writeSettings(base string, sp *spec) error {
	uid := sp.UID
	if uid == 0 {
		uid = nobody
	}
	files := map[string]string{
		"etc/passwd":        fmt.Sprintf("root:x:0:0:root:/:/bin/false\n%s:x:%d:%d::%s:/bin/sh\n", sp.User, uid, uid, sp.home()),
		"etc/group":         fmt.Sprintf("root:x:0:\n%s:x:%d:\n", sp.User, uid),
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	}
	if !sp.Network {
		files["etc/hosts"] = "127.0.0.1 localhost sandbox\n"
	}
	var err error
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(path.Join(base, name), []byte(text), 0o444))
	}
	for name, to := range map[string]string{"dev/fd": "/proc/self/fd", "dev/stdin": "/proc/self/fd/0", "dev/stdout": "/proc/self/fd/1", "dev/stderr": "/proc/self/fd/2", "dev/shm": "/tmp"} {
		err = errors.Join(err, os.Symlink(to, path.Join(base, name)))
	}
	return err
}

// enter makes base the root, and lets go of the machine's.
func enter(base string) error {
	if err := unix.PivotRoot(base, path.Join(base, ".old")); err != nil {
		return fmt.Errorf("new root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("old root: %w", err)
	}
	if err := os.Remove("/.old"); err != nil {
		return err
	}
	a := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &a); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	return nil
}
