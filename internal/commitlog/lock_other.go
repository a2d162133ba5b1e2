//go:build !unix

package commitlog

import (
	"io"
	"os"
)

// Lock holds the file open; where the system has no flock, that is all there is.
func (osFS) Lock(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
}
