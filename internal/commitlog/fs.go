package commitlog

import (
	"io"
	"io/fs"
	"os"
)

// FS is what a data directory asks of a file system. Tests replace it by one that loses what was not synced.
type FS interface {
	// OpenFile opens with os.O_RDWR or os.O_RDONLY, and os.O_CREATE, os.O_EXCL and os.O_TRUNC as with [os.OpenFile].
	OpenFile(name string, flag int) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	MkdirAll(name string) error
	// ReadDir lists names in order; sizes are those of regular files.
	ReadDir(name string) ([]DirEntry, error)
	// SyncDir makes what was created, renamed and removed in a directory durable.
	SyncDir(name string) error
	// Lock takes the lock file for this process; ErrLocked when another has it.
	Lock(name string) (io.Closer, error)
}

// DirEntry is one name in a directory.
type DirEntry struct {
	Name string
	Dir  bool
	Size int64
}

// File is an open file. Those of [OSFS] are syscall.Conn too, for sendfile.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync returns when the disk has the contents and the size.
	Sync() error
}

// OSFS is the operating system's file system.
func OSFS() FS { return osFS{} }

type osFS struct{}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (osFS) OpenFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return newFile(f), nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) RemoveAll(name string) error  { return os.RemoveAll(name) }
func (osFS) MkdirAll(name string) error   { return os.MkdirAll(name, 0o755) }

func (osFS) ReadDir(name string) ([]DirEntry, error) {
	list, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	out := make([]DirEntry, 0, len(list))
	for _, e := range list {
		d := DirEntry{Name: e.Name(), Dir: e.IsDir()}
		if e.Type()&fs.ModeType == 0 {
			info, err := e.Info()
			if err != nil {
				continue // gone since the listing
			}
			d.Size = info.Size()
		}
		out = append(out, d)
	}
	return out, nil
}

func (osFS) SyncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
