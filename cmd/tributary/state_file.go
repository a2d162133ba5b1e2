package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tributary-net/tributary/collect"
)

// stateFile keeps what exporters taught in a file: a JSON object a line. It is
// replaced as a whole, so that one that was cut short is never read.
type stateFile struct {
	path    string
	keeper  *stateKeeper
	trouble bool
}

// stateLine is a line of the file: what a record of the topic has as key and value.
type stateLine struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// maxStateLine bounds a line, in octets.
const maxStateLine = 1 << 20

func checkStateFile(path string) error {
	if st, err := os.Stat(filepath.Dir(path)); err != nil || !st.IsDir() {
		return errors.New("allowed is a file in a directory that is there")
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return errors.New("allowed is a regular file, or one that is not there yet")
	}
	return checkStateLines(path)
}

// checkStateLines refuses a file whose first lines are none of a collector's: it is
// somebody else's, and would be replaced.
func checkStateLines(path string) error {
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	lines := stateLines(in)
	n := 0
	for ; n < 1000 && lines.Scan(); n++ {
		if _, err := parseStateLine(lines.Bytes()); err == nil {
			return nil
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return err
	} else if err == nil && n == 0 {
		return nil // empty
	}
	return errors.New("allowed is a file that a collector has written, or one that is not there yet; this one is something else")
}

func stateLines(in io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(io.LimitReader(in, 16<<30))
	lines.Buffer(make([]byte, 0, 64<<10), maxStateLine)
	return lines
}

func parseStateLine(text []byte) (collect.State, error) {
	var line stateLine
	if err := json.Unmarshal(text, &line); err != nil {
		return collect.State{}, err
	}
	return collect.ParseState([]byte(line.Key), line.Value)
}

// load gives the decoder what the file has. A file that is not there has nothing. One
// that could not be replaced is refused now, not when something changes.
func (f *stateFile) load() error {
	try, err := f.create()
	if err != nil {
		return err
	}
	_ = try.Close()
	if err := os.Remove(try.Name()); err != nil {
		return err
	}
	in, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	k := f.keeper
	lines := stateLines(in)
	var states []collect.State
	for lines.Scan() {
		st, err := parseStateLine(lines.Bytes())
		if err != nil {
			k.invalid.Add(1)
			continue
		}
		if states = append(states, st); len(states) == cap(states) && len(states) >= 1<<12 {
			k.learn(states)
			states = states[:0]
		}
	}
	k.learn(states)
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	k.tell("file", f.path)
	return nil
}

// tell says what was learnt at the start.
func (k *stateKeeper) tell(where, name string) {
	if n := k.learnt.Load() + k.stale.Load() + k.invalid.Load() + k.ignored.Load(); n > 0 {
		level := slog.LevelInfo
		if k.invalid.Load() > 0 {
			level = slog.LevelWarn
		}
		k.log.Log(context.Background(), level, "exporters are known from before", where, name, "exporters", len(k.decoder.Exporters()),
			"learnt", k.learnt.Load(), "stale", k.stale.Load(), "invalid", k.invalid.Load(), "ignored", k.ignored.Load())
	}
}

// write replaces the file with what is known now, and says when it cannot.
func (f *stateFile) write() error {
	err := f.replace()
	if trouble := err != nil; trouble != f.trouble {
		f.trouble = trouble
		if trouble {
			f.keeper.log.Warn("what exporters taught cannot be written, trying on", "file", f.path, "err", err)
		} else {
			f.keeper.log.Info("what exporters taught is written again", "file", f.path)
		}
	}
	return err
}

// create creates the file that is to replace it.
func (f *stateFile) create() (*os.File, error) {
	return os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+"-*")
}

func (f *stateFile) replace() (err error) {
	dir := filepath.Dir(f.path)
	out, err := f.create()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = out.Close()
			_ = os.Remove(out.Name())
		}
	}()
	w := bufio.NewWriterSize(out, 64<<10)
	from, _ := f.keeper.cutoff()
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	for _, exporter := range f.keeper.decoder.Exporters() {
		for _, st := range f.keeper.decoder.State(exporter) {
			if st.Time < from {
				continue
			}
			value, err := st.MarshalValue()
			if err != nil {
				return err
			}
			line.Reset()
			if err := enc.Encode(stateLine{st.StateKey.String(), value}); err != nil {
				return err
			}
			if _, err := w.Write(line.Bytes()); err != nil {
				return err
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), f.path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
