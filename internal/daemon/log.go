package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
)

// LogFormats and LogLevels are what [NewLogger] takes.
var (
	LogFormats = []string{"text", "json"}
	LogLevels  = []string{"debug", "info", "warn", "error"}
)

// NewLogger returns a logger that writes lines of key=value (text) or JSON objects
// (json) to w, from the given level on.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var o slog.HandlerOptions
	switch level {
	case "debug":
		o.Level = slog.LevelDebug
	case "info":
		o.Level = slog.LevelInfo
	case "warn":
		o.Level = slog.LevelWarn
	case "error":
		o.Level = slog.LevelError
	default:
		return nil, fmt.Errorf("log level %q: allowed are %s", level, strings.Join(LogLevels, ", "))
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &o)), nil
	default:
		return nil, fmt.Errorf("log format %q: allowed are %s", format, strings.Join(LogFormats, ", "))
	}
}

// WarnPublic logs a warning when something listens beyond loopback.
func WarnPublic(log *slog.Logger, what string, addr net.Addr) {
	if !loopback(addr.String()) {
		log.Warn("reachable from other machines", "what", what, "addr", addr.String())
	}
}

// loopback reports whether an address, host:port, can only be reached from this
// machine.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if i := strings.IndexByte(host, '%'); i >= 0 {
		host = host[:i]
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
