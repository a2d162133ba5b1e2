package broker_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer is one of the two brokers that are compared, with a connection.
type peer struct {
	name, addr  string
	conn        net.Conn
	correlation int32
}

var errBlocked = errors.New("no answer")

// ask sends a request and waits so long for its answer. A connection that has ended is an answer too.
func (s *peer) ask(req kmsg.Request, wait time.Duration) (kmsg.Response, error) {
	if s.conn == nil {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return nil, err
		}
		s.conn = c
	}
	s.correlation++
	resp, err := s.exchange(req, wait)
	if err != nil {
		s.conn.Close()
		s.conn = nil
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			err = errBlocked
		case errors.Is(err, io.EOF) || strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "broken pipe"):
			err = io.EOF
		}
	}
	return resp, err
}

func (s *peer) exchange(req kmsg.Request, wait time.Duration) (kmsg.Response, error) {
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("differ")).AppendRequest(nil, req, s.correlation)
	if err := s.conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	if _, err := s.conn.Write(frame); err != nil {
		return nil, err
	}
	if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
		return nil, nil
	}
	var size [4]byte
	if _, err := io.ReadFull(s.conn, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(s.conn, b); err != nil {
		return nil, err
	}
	b = b[4:]
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != kmsg.ApiVersions.Int16() {
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("%s answers %T v%d with what cannot be read: %w", s.name, req, req.GetVersion(), err)
	}
	if again := resp.AppendTo(nil); len(again) != len(b) {
		return nil, fmt.Errorf("%s answers %T v%d with %d bytes, %d are understood", s.name, req, req.GetVersion(), len(b), len(again))
	}
	return resp, nil
}

// pair is our broker and Apache Kafka. What they call by names of their own making — topic ids, member ids, producer ids, ids
// of fetch sessions — has a symbol here: requests are made with symbols, and each broker gets its own names.
type pair struct {
	t            *testing.T
	ours, theirs *peer
	symbols      []symbol
	barrier      float64
	versions     map[int16]int16 // by key, the highest that both serve
	lowest       map[int16]int16

	round    int
	begun    string // what every name of the round begins with
	log      []string
	over     bool // no more of this round
	requests int
	answers  map[string]int // requests by kind
	codes    map[string]map[int16]int
	found    map[string]*difference
}

// symbol is one thing and what each broker calls it.
type symbol struct {
	kind         string
	ours, theirs any
}

// difference is a kind of difference with one example.
type difference struct {
	times   int
	what    string
	history []string
}

func newPair(t *testing.T, ours, theirs string) *pair {
	p := &pair{t: t, ours: &peer{name: "tributary", addr: ours}, theirs: &peer{name: "Apache Kafka", addr: theirs}, versions: map[int16]int16{}, lowest: map[int16]int16{}, answers: map[string]int{}, codes: map[string]map[int16]int{}, found: map[string]*difference{}}
	t.Cleanup(func() {
		for _, s := range []*peer{p.ours, p.theirs} {
			if s.conn != nil {
				s.conn.Close()
			}
		}
	})
	var served [2]map[int16][2]int16
	for i, s := range []*peer{p.ours, p.theirs} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.SetVersion(3)
		req.ClientSoftwareName, req.ClientSoftwareVersion = "differ", "1"
		r, err := s.ask(req, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		served[i] = map[int16][2]int16{}
		for _, k := range r.(*kmsg.ApiVersionsResponse).ApiKeys {
			served[i][k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
	}
	for key, o := range served[0] {
		k, ok := served[1][key]
		if !ok {
			t.Errorf("%s is served here and not by Apache Kafka", kmsg.NameForKey(key))
		}
		p.lowest[key], p.versions[key] = max(o[0], k[0]), min(o[1], k[1])
	}
	// Coordinators are there when their topics are.
	for _, typ := range []int8{0, 1} {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.SetVersion(4)
		req.CoordinatorType, req.CoordinatorKeys = typ, []string{"x"}
		for _, s := range []*peer{p.ours, p.theirs} {
			eventually(t, "coordinator", func() bool {
				r, err := s.ask(req, time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				return r.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode == 0
			})
		}
	}
	return p
}

// begin starts a round.
func (p *pair) begin(round int) {
	p.round, p.begun, p.log, p.over, p.symbols = round, fmt.Sprintf("r%d-", round), nil, false, nil
}

// reads are the requests that change nothing, so that they may be asked again where Apache Kafka answers with what was a moment ago.
var reads = []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.DescribeGroups, kmsg.ListGroups, kmsg.ApiVersions, kmsg.OffsetForLeaderEpoch, kmsg.DescribeACLs, kmsg.DescribeConfigs, kmsg.DescribeLogDirs, kmsg.DescribeClientQuotas, kmsg.DescribeUserSCRAMCredentials, kmsg.DescribeCluster, kmsg.DescribeProducers, kmsg.DescribeTransactions, kmsg.ListTransactions, kmsg.ConsumerGroupDescribe, kmsg.ListConfigResources, kmsg.DescribeTopicPartitions, kmsg.ListPartitionReassignments, kmsg.Heartbeat}

// controls are the requests that Apache Kafka's controller answers before the broker has heard of what they change.
var controls = []kmsg.Key{kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.AlterConfigs, kmsg.IncrementalAlterConfigs, kmsg.CreateACLs, kmsg.DeleteACLs, kmsg.AlterClientQuotas, kmsg.AlterUserSCRAMCredentials, kmsg.ElectLeaders, kmsg.AlterPartitionAssignments}

// step sends a request to both, compares the answers and returns ours.
func (p *pair) step(req kmsg.Request) kmsg.Response {
	p.t.Helper()
	p.requests++
	name := kmsg.NameForKey(req.Key())
	p.answers[name]++
	wait, blocked := 30*time.Second, false
	if key := req.Key(); key == kmsg.JoinGroup.Int16() || key == kmsg.SyncGroup.Int16() {
		blocked = true // it may be, until others join
	}
	type answer struct {
		resp kmsg.Response
		err  error
	}
	askTheirs := func() answer {
		r, err := p.theirs.ask(p.resolve(req, false), wait)
		return answer{r, err}
	}
	theirs := make(chan answer, 1)
	if !blocked {
		go func() { theirs <- askTheirs() }()
	}
	resp, err := p.ours.ask(p.resolve(req, true), map[bool]time.Duration{false: wait, true: 3 * time.Second}[blocked])
	if blocked && errors.Is(err, errBlocked) {
		p.over = true
		return nil
	}
	if blocked {
		go func() { theirs <- askTheirs() }()
	}
	k := <-theirs
	symbols := len(p.symbols)
	diffs := p.compare(req, resp, err, k.resp, k.err)
	for end := time.Now().Add(10 * time.Second); len(diffs) > 0 && time.Now().Before(end) && p.again(req, k.resp, k.err); {
		p.symbols = p.symbols[:symbols]
		time.Sleep(20 * time.Millisecond)
		if k = askTheirs(); k.err == nil && k.resp == nil {
			break
		}
		diffs = p.compare(req, resp, err, k.resp, k.err)
	}
	for _, code := range answerCodes(resp) {
		if p.codes[name] == nil {
			p.codes[name] = map[int16]int{}
		}
		p.codes[name][code]++
	}
	p.log = append(p.log, fmt.Sprintf("%s v%d %s -> %v", name, req.GetVersion(), render(req), answerCodes(resp)))
	if len(diffs) > 0 {
		p.over = true
		what := fmt.Sprintf("%s v%d %s\n   ours   %s %v\n   Kafka  %s %v", name, req.GetVersion(), render(req), render(resp), err, render(k.resp), k.err)
		for _, d := range diffs {
			key := name + " " + d
			if p.found[key] == nil {
				p.found[key] = &difference{what: what, history: slices.Clone(p.log)}
			}
			p.found[key].times++
		}
	}
	if slices.Contains(controls, kmsg.Key(req.Key())) {
		p.settle()
	}
	return resp
}

// again says whether Apache Kafka may answer otherwise in a moment.
func (p *pair) again(req kmsg.Request, resp kmsg.Response, err error) bool {
	if f, ok := req.(*kmsg.FetchRequest); ok && f.SessionEpoch > 0 {
		return false
	}
	if err != nil {
		return false
	}
	for _, code := range answerCodes(resp) {
		switch code {
		case 14, 15, 16, 19, 51: // the coordinator loads or is busy with the transaction's end
			return true
		}
	}
	return slices.Contains(reads, kmsg.Key(req.Key()))
}

// settle waits until Apache Kafka's broker has heard all that its controller has decided: changes are heard in their order, and
// all of one when the next one is seen.
func (p *pair) settle() {
	p.t.Helper()
	for range 2 {
		p.barrier++
		alter := kmsg.NewPtrAlterClientQuotasRequest()
		alter.SetVersion(1)
		name := "r0-barrier"
		entry, entity, op := kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryEntity(), kmsg.NewAlterClientQuotasRequestEntryOp()
		entity.Type, entity.Name = "client-id", &name
		op.Key, op.Value = "producer_byte_rate", 1e9+p.barrier
		entry.Entity, entry.Ops = append(entry.Entity, entity), append(entry.Ops, op)
		alter.Entries = append(alter.Entries, entry)
		if _, err := p.theirs.ask(alter, time.Minute); err != nil {
			p.t.Fatal("barrier:", err)
		}
		ask := kmsg.NewPtrDescribeClientQuotasRequest()
		ask.SetVersion(1)
		component := kmsg.NewDescribeClientQuotasRequestComponent()
		component.EntityType, component.Match = "client-id", &name
		ask.Components = append(ask.Components, component)
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			r, err := p.theirs.ask(ask, time.Minute)
			if err != nil {
				p.t.Fatal("barrier:", err)
			}
			if e := r.(*kmsg.DescribeClientQuotasResponse).Entries; len(e) == 1 && e[0].Values[0].Value == 1e9+p.barrier {
				break
			}
			if time.Now().After(end) {
				p.t.Fatal("barrier: Apache Kafka has not heard of the last change")
			}
		}
	}
}

// Symbols in requests are marked by their value.
const (
	symbolID     = 1 << 40 // producer ids
	symbolNumber = 1 << 29 // ids of fetch sessions
	symbolText   = "symbol:"
)

// value is how a request names a symbol.
func (p *pair) value(n int) any {
	switch p.symbols[n].ours.(type) {
	case string:
		return fmt.Sprintf("%s%d", symbolText, n)
	case int64:
		return int64(symbolID + n)
	case int32:
		return int32(symbolNumber + n)
	}
	return [16]byte{0xff, 's', 'y', 'm', byte(n >> 8), byte(n)}
}

// of lists the symbols of a kind.
func (p *pair) of(kind string) (list []int) {
	for i, s := range p.symbols {
		if s.kind == kind {
			list = append(list, i)
		}
	}
	return list
}

// resolve copies a request with the names that a broker has for its symbols.
func (p *pair) resolve(req kmsg.Request, ours bool) kmsg.Request {
	side := func(n int) any {
		if n >= len(p.symbols) {
			return nil
		}
		if ours {
			return p.symbols[n].ours
		}
		return p.symbols[n].theirs
	}
	c := reflect.New(reflect.TypeOf(req).Elem())
	c.Elem().Set(clone(reflect.ValueOf(req).Elem(), func(v any) any {
		switch v := v.(type) {
		case string:
			var n int
			if _, err := fmt.Sscanf(v, symbolText+"%d", &n); err == nil {
				return side(n)
			}
		case int64:
			if v >= symbolID && v < symbolID+1<<16 {
				return side(int(v - symbolID))
			}
		case int32:
			if v >= symbolNumber && v < symbolNumber+1<<16 {
				return side(int(v - symbolNumber))
			}
		case [16]byte:
			if bytes.HasPrefix(v[:], []byte("\xffsym")) {
				return side(int(v[4])<<8 | int(v[5]))
			}
		}
		return nil
	}))
	req = c.Interface().(kmsg.Request)
	if produce, ok := req.(*kmsg.ProduceRequest); ok {
		for i := range produce.Topics {
			for j := range produce.Topics[i].Partitions {
				rp := &produce.Topics[i].Partitions[j]
				if len(rp.Records) >= 61 {
					if id := int64(binary.BigEndian.Uint64(rp.Records[43:])); id >= symbolID && id < symbolID+1<<16 {
						binary.BigEndian.PutUint64(rp.Records[43:], uint64(side(int(id-symbolID)).(int64)))
						sealBatch(rp.Records)
					}
				}
			}
		}
	}
	return req
}

// clone copies a value with what f has for its parts.
func clone(v reflect.Value, f func(any) any) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "UnknownTags" {
				c.Field(i).Set(clone(v.Field(i), f))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(reflect.New(v.Type().Elem()))
			c.Elem().Set(clone(v.Elem(), f))
		}
	case reflect.Slice:
		if !v.IsNil() {
			c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				c.Index(i).Set(clone(v.Index(i), f))
			}
		}
	default:
		if r := f(v.Interface()); r != nil {
			c.Set(reflect.ValueOf(r))
		} else {
			c.Set(v)
		}
	}
	return c
}

// named are the fields whose values a broker makes up, and the kind of symbol.
var named = map[string]string{"TopicID": "topic", "MemberID": "member", "LeaderID": "member", "ProducerID": "producer", "SessionID": "session", "CurrentTxnStartOffset": ""}

// free are the fields that may differ: a broker's own words, addresses, clocks and sizes.
var free = map[string]bool{
	"ThrottleMillis": true, "ErrorMessage": true, "Version": true, "UnknownTags": true, "ClusterID": true, "Port": true, "Documentation": true,
	"Dir": true, "TotalBytes": true, "UsableBytes": true, "Salt": true, "ClientHost": true, "Host": true,
	"LastTimestamp": true,
}

// clocks are fields of which it matters only whether they are set.
var clocks = map[string]bool{"LogAppendTime": true, "StartTimestamp": true, "CurrentTimestamp": true}

// compare lists the differences of two answers, as paths with the two values.
func (p *pair) compare(req kmsg.Request, ours kmsg.Response, ourErr error, theirs kmsg.Response, theirErr error) []string {
	if ourErr != nil || theirErr != nil {
		if fmt.Sprint(ourErr) == fmt.Sprint(theirErr) {
			return nil
		}
		return p.unexpected(req, []string{fmt.Sprintf("answer: ours %v, Kafka %v", ourErr, theirErr)})
	}
	if ours == nil || theirs == nil {
		return nil
	}
	c := &comparison{pair: p, req: req}
	c.values("", reflect.ValueOf(ours).Elem(), reflect.ValueOf(theirs).Elem())
	return p.unexpected(req, c.diffs)
}

// brokenOn is a request that Apache Kafka breaks on: an unknown error or a connection that ends, where ours says what is wrong.
var brokenOn = regexp.MustCompile(`ErrorCode: ours -?\d+, Kafka -1$|^answer: ours <nil>, Kafka EOF$`)

// unexpected leaves out the differences that are meant.
func (p *pair) unexpected(req kmsg.Request, diffs []string) []string {
	name := kmsg.NameForKey(req.Key())
	if slices.ContainsFunc(diffs, func(d string) bool { return brokenOn.MatchString(d) }) {
		p.over = true
		return nil
	}
	return slices.DeleteFunc(diffs, func(d string) bool {
		is := slices.ContainsFunc(meant, func(m meantDifference) bool { return m.is.MatchString(name + " " + d) })
		if is && strings.Contains(d, "ErrorCode") && !slices.Contains(reads, kmsg.Key(req.Key())) {
			p.over = true // the two have not done the same
		}
		return is
	})
}

type comparison struct {
	pair  *pair
	req   kmsg.Request
	diffs []string
}

func (c *comparison) differ(path string, ours, theirs any) {
	c.diffs = append(c.diffs, fmt.Sprintf("%s: ours %v, Kafka %v", path, ours, theirs))
}

func (c *comparison) values(path string, ours, theirs reflect.Value) {
	switch ours.Kind() {
	case reflect.Struct:
		for i := range ours.NumField() {
			if f := ours.Type().Field(i); !free[f.Name] {
				c.values(path+"."+f.Name, ours.Field(i), theirs.Field(i))
			}
		}
	case reflect.Pointer:
		switch {
		case ours.IsNil() && theirs.IsNil():
		case ours.IsNil() || theirs.IsNil():
			c.differ(path, render(ours.Interface()), render(theirs.Interface()))
		default:
			c.values(path, ours.Elem(), theirs.Elem())
		}
	case reflect.Slice:
		if ours.Type().Elem().Kind() == reflect.Uint8 {
			c.bytes(path, ours.Bytes(), theirs.Bytes())
			return
		}
		if ours.IsNil() != theirs.IsNil() && ours.Len()+theirs.Len() == 0 {
			c.differ(path, map[bool]string{true: "null", false: "a list"}[ours.IsNil()], map[bool]string{true: "null", false: "a list"}[theirs.IsNil()])
			return
		}
		a, b := c.elements(ours, true), c.elements(theirs, false)
		for len(a) > 0 && len(b) > 0 {
			x, y := c.elementName(a[0], true), c.elementName(b[0], false)
			switch {
			case x == y:
				c.values(path, a[0], b[0])
				a, b = a[1:], b[1:]
			case x < y:
				c.differ(path, x, "none")
				a = a[1:]
			default:
				c.differ(path, "none", y)
				b = b[1:]
			}
		}
		for _, v := range a {
			c.differ(path, c.elementName(v, true), "none")
		}
		for _, v := range b {
			c.differ(path, "none", c.elementName(v, false))
		}
	default:
		c.leaf(path, ours.Interface(), theirs.Interface())
	}
}

var otherRound = regexp.MustCompile(`r\d+-`)

// elements are those of a list that are not of another round, by name.
func (c *comparison) elements(list reflect.Value, ours bool) (all []reflect.Value) {
	for i := range list.Len() {
		v := list.Index(i)
		other := false
		for _, r := range otherRound.FindAllString(render(v.Interface()), -1) {
			other = other || r != c.pair.begun
		}
		if !other {
			all = append(all, v)
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return c.elementName(all[i], ours) < c.elementName(all[j], ours) })
	return all
}

// keys are the fields that tell an element of a list from the others.
var keys = map[string]bool{
	"ApiKey": true, "Type": true, "Topic": true, "Partition": true, "Name": true, "Group": true, "ResourceType": true, "ResourceName": true, "User": true, "Key": true,
	"Mechanism": true, "Entity": true, "TransactionalID": true, "NodeID": true, "Principal": true, "Operation": true, "PermissionType": true, "ResourcePatternType": true,
	"InstanceID": true, "ClientID": true,
}

// elementName is what tells an element of a list from the others.
func (c *comparison) elementName(v reflect.Value, ours bool) string {
	if v.Kind() != reflect.Struct {
		if v.Kind() == reflect.Int64 {
			return "" // a producer id
		}
		return fmt.Sprint(v.Interface())
	}
	var parts []string
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name == "Entity" {
			var all []string
			for j := range v.Field(i).Len() {
				all = append(all, render(v.Field(i).Index(j).Interface()))
			}
			slices.Sort(all)
			parts = append(parts, all...)
		} else if f.Name == "MemberID" || f.Name == "TopicID" {
			id := v.Field(i).Interface()
			for n, s := range c.pair.symbols {
				if (s.kind == "member" || s.kind == "topic") && (ours && s.ours == id || !ours && s.theirs == id) {
					parts = append(parts, fmt.Sprint("symbol ", n))
				}
			}
		} else if keys[f.Name] {
			parts = append(parts, render(v.Field(i).Interface()))
		}
	}
	return strings.Join(parts, " ")
}

func (c *comparison) leaf(path string, ours, theirs any) {
	field := path[strings.LastIndex(path, ".")+1:]
	if kind := named[field]; kind != "" && c.symbol(kind, ours, theirs) {
		return
	}
	if clocks[field] {
		if a, b := ours.(int64), theirs.(int64); a > 0 == (b > 0) {
			return
		}
	}
	if field == "Timestamp" && ours.(int64) > 1_750_000_000_000 && theirs.(int64) > 1_750_000_000_000 {
		return // a marker's
	}
	if ours != theirs {
		c.differ(path, ours, theirs)
	}
}

// symbol says whether two values mean the same, and makes them do when they are new.
func (c *comparison) symbol(kind string, ours, theirs any) bool {
	switch ours := ours.(type) {
	case string:
		if ours == "" || theirs == "" {
			return ours == theirs
		}
	case int64:
		if ours < 0 || theirs.(int64) < 0 {
			return ours == theirs
		}
	case int32:
		if ours <= 0 || theirs.(int32) <= 0 {
			return ours == theirs
		}
	case [16]byte:
		if ours == ([16]byte{}) || theirs == ([16]byte{}) {
			return ours == theirs
		}
	default:
		return false
	}
	for _, s := range c.pair.symbols {
		if s.kind == kind && (s.ours == ours || s.theirs == theirs) {
			return s.ours == ours && s.theirs == theirs
		}
	}
	if len(c.diffs) == 0 {
		c.pair.symbols = append(c.pair.symbols, symbol{kind, ours, theirs})
	}
	return true
}

// bytes compares record batches by what their headers say, and everything else as it is.
func (c *comparison) bytes(path string, ours, theirs []byte) {
	if strings.HasSuffix(path, ".RecordBatches") {
		a, b := c.batches(ours, true), c.batches(theirs, false)
		if !slices.Equal(a, b) {
			c.differ(path, a, b)
		}
		return
	}
	if !bytes.Equal(ours, theirs) {
		c.differ(path, base64.StdEncoding.EncodeToString(ours), base64.StdEncoding.EncodeToString(theirs))
	}
}

func (c *comparison) batches(b []byte, ours bool) (list []string) {
	for len(b) >= 61 {
		n := 12 + int(int32(binary.BigEndian.Uint32(b[8:])))
		if n > len(b) {
			break
		}
		id := any(int64(binary.BigEndian.Uint64(b[43:])))
		for i, s := range c.pair.symbols {
			if s.kind == "producer" && (ours && s.ours == id || !ours && s.theirs == id) {
				id = fmt.Sprint("producer ", i)
			}
		}
		list = append(list, fmt.Sprintf("offset %d, epoch %d, magic %d, attributes %d, last %d, producer %v epoch %d sequence %d, %d records, %d bytes",
			binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[12:]), b[16], binary.BigEndian.Uint16(b[21:]), binary.BigEndian.Uint32(b[23:]),
			id, binary.BigEndian.Uint16(b[51:]), binary.BigEndian.Uint32(b[53:]), binary.BigEndian.Uint32(b[57:]), n))
		b = b[n:]
	}
	return list
}

// render writes a message or a part of one.
func render(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	s := strings.ReplaceAll(string(b), `,"UnknownTags":{}`, "")
	s = strings.ReplaceAll(s, `"ThrottleMillis":0,`, "")
	s = strings.ReplaceAll(s, "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]", "0")
	if len(s) > 1500 {
		s = s[:1500] + "…"
	}
	return s
}

// report tells what was found.
func (p *pair) report() {
	p.t.Helper()
	p.t.Logf("%d requests", p.requests)
	for _, key := range slices.Sorted(maps.Keys(p.codes)) {
		p.t.Logf("%s %d: codes %v", key, p.answers[key], p.codes[key])
	}
	for _, key := range slices.Sorted(maps.Keys(p.found)) {
		d := p.found[key]
		p.t.Errorf("%d times: %s\n  %s\n  after\n    %s", d.times, key, d.what, strings.Join(d.history, "\n    "))
	}
}
