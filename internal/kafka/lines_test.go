package kafka_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka"
)

func TestLineFormat(t *testing.T) {
	show := func(b []byte) string {
		if b == nil {
			return "nil"
		}
		return fmt.Sprintf("%q", b)
	}
	plain := kafka.LineFormat{}
	keyed := kafka.LineFormat{KeySeparator: ":", Null: "NULL"}
	full := kafka.LineFormat{HeaderDelimiter: "\t", HeaderSeparator: ",", HeaderKeySeparator: ":", KeySeparator: "\t", Null: "NULL"}
	lenient := full
	lenient.Lenient = true
	for _, tt := range []struct {
		format kafka.LineFormat
		line   string
		want   string // headers key value, or what the error says
	}{
		{plain, "a:b\tc", `nil "a:b\tc"`},
		{plain, "", `nil ""`},
		{keyed, "k:v:w", `"k" "v:w"`},
		{keyed, ":v", `"" "v"`},
		{keyed, "k:NULL", `"k" nil`},
		{keyed, "NULL:v", `nil "v"`},
		{keyed, "v", `error no key separator ":" in "v"`},
		{full, "h:1,g:\tk\tv", `h="1" g="" "k" "v"`},
		{full, "h:1:2\tk\tv", `h="1:2" "k" "v"`},
		{full, "NULL\tNULL\tNULL", `nil nil`},
		{full, "h:NULL\tk\t", `h=nil "k" ""`},
		{full, "h\tk\tv", `error no header key separator ":" in "h"`},
		{full, "NULL:1\tk\tv", `error a header without a name in "NULL:1"`},
		{full, "h:1", `error no header delimiter "\t" in "h:1"`},
		{full, "h:1\tv", `error no key separator "\t" in "v"`},
		{full, "h:1,\tk\tv", `h="1" "k" "v"`},
		{full, ",,\tk\tv", `"k" "v"`},
		{full, "\tk\tv", `error no header key separator ":" in ""`},
		{full, "h:1,,g:2\tk\tv", `error no header key separator ":" in ""`},
		{lenient, "NULL,h:1,\tk\tv", `NULL=nil h="1" "k" "v"`},
		{lenient, "v", `nil "v"`},
		{lenient, "h\tv", `h=nil nil "v"`},
		{lenient, "h:1\tk\tv", `h="1" "k" "v"`},
		{keyed, strings.Repeat("x", 50), `error no key separator ":" in "` + strings.Repeat("x", 40) + `..."`},
	} {
		own := append(make([]kgo.RecordHeader, 0, 8), kgo.RecordHeader{Key: "own"})
		r := kgo.Record{Headers: own}
		got := ""
		if err := tt.format.Parse([]byte(tt.line), &r); err != nil {
			got = "error " + err.Error()
		} else {
			for _, h := range r.Headers[1:] {
				got += h.Key + "=" + show(h.Value) + " "
			}
			got += show(r.Key) + " " + show(r.Value)
		}
		if got != tt.want {
			t.Errorf("%q is %s, want %s", tt.line, got, tt.want)
		}
		if extra := own[:2][1]; extra.Key != "" {
			t.Errorf("%q: header %s is put into another record's", tt.line, extra.Key)
		}
	}
}
