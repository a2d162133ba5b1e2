//go:build !linux

package commitlog

import "os"

func syncFile(f *os.File) error { return f.Sync() }
