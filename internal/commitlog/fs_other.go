//go:build !linux

package commitlog

import "os"

// osFile is a file of the operating system.
type osFile struct{ *os.File }

func newFile(f *os.File) osFile { return osFile{f} }
