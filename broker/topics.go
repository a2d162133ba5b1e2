package broker

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// offsetsTopic is Kafka's name for the topic that keeps committed offsets and group metadata.
const offsetsTopic = "__consumer_offsets"

// isInternal says whether a topic is one in which the broker keeps its own state.
func isInternal(name string) bool { return name == offsetsTopic || name == txnTopic }

// topic is one topic. What can change in it is replaced as a whole.
type topic struct {
	name     string
	id       [16]byte
	internal bool

	parts   atomic.Pointer[[]*partition]
	configs atomic.Pointer[map[string]string] // set on the topic itself

	counters topicCounters
}

// partition is one log and those who wait for it.
type partition struct {
	topic *topic
	index int32
	log   *commitlog.Log
	epoch int32 // leader epoch, fixed while the broker runs

	waiters waiters
}

// partition returns one partition, nil when there is no such.
func (t *topic) partition(index int32) *partition {
	parts := *t.parts.Load()
	if index < 0 || int(index) >= len(parts) {
		return nil
	}
	return parts[index]
}

func (t *topic) partitions() []*partition { return *t.parts.Load() }

func (t *topic) stats() TopicStats {
	c := &t.counters
	s := TopicStats{
		Name: t.name, Internal: t.internal, Partitions: len(t.partitions()),
		MessagesIn: c.messagesIn.Load(), BatchesIn: c.batchesIn.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		ProduceRequests: c.produceRequests.Load(), ProduceRejected: c.produceRejected.Load(),
		FetchRequests: c.fetchRequests.Load(), Duplicates: c.duplicates.Load(),
	}
	for _, p := range t.partitions() {
		s.Size += p.log.Size()
		s.Messages += p.log.EndOffset() - p.log.StartOffset()
	}
	return s
}

// storedTopic is a topic in the metadata file, kind "topic", key its name.
type storedTopic struct {
	ID         string            `json:"id"`
	Partitions int32             `json:"partitions"`
	Configs    map[string]string `json:"configs,omitempty"`
}

// Kinds of the metadata file. A deleted topic is remembered, by its id, until its files are gone.
const (
	kindTopic   = "topic"
	kindDeleted = "deleted-topic"
)

// idText writes a topic id as Kafka's tools do: base64, URL alphabet, no padding.
func idText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func parseID(s string) (id [16]byte, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("topic id %q: want 16 bytes in base64", s)
	}
	copy(id[:], b)
	return id, nil
}

// topicError is a refusal with its code and a sentence for the client.
type topicError struct {
	code code
	text string
}

func (e *topicError) Error() string { return e.text }

func refusef(c code, format string, args ...any) *topicError {
	return &topicError{c, fmt.Sprintf(format, args...)}
}

// asRefusal turns any error into one a client can be told.
func asRefusal(err error) *topicError {
	var refusal *topicError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refusal
	default:
		return &topicError{logCode(err), err.Error()}
	}
}

// topics is the registry: what the metadata file says, and the logs under it.
type topics struct {
	cfg  *Config
	live *liveConfig // cfg, and what has been changed of it
	dir  *commitlog.Dir
	meta *metadataFile

	change sync.Mutex // one change at a time, from file to registry

	mu     sync.RWMutex
	byName map[string]*topic
	byID   map[[16]byte]*topic
	count  int // partitions

	changes atomic.Uint64 // of which topics there are and their numbers of partitions
}

// lookup finds a topic by name, given as bytes of a frame.
func (ts *topics) lookup(name []byte) *topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byName[string(name)]
}

func (ts *topics) get(name string) *topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byName[name]
}

func (ts *topics) getID(id [16]byte) *topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byID[id]
}

// list returns all topics by name.
func (ts *topics) list() []*topic {
	ts.mu.RLock()
	all := slices.Collect(maps.Values(ts.byName))
	ts.mu.RUnlock()
	slices.SortFunc(all, func(a, b *topic) int { return cmp.Compare(a.name, b.name) })
	return all
}

// configOf tells the data directory, before there is a registry and whenever a log is made, how it is configured.
func configOf(cfg *Config, meta *metadataFile) func(string) (commitlog.LogConfig, bool) {
	return func(name string) (commitlog.LogConfig, bool) {
		raw, ok := meta.get(kindTopic, name)
		var st storedTopic
		if !ok || json.Unmarshal(raw, &st) != nil {
			return commitlog.LogConfig{}, false
		}
		return effectiveConfig(cfg, name, st.Configs), true
	}
}

// openTopics makes registry, metadata file and logs agree after a start, whatever a crash left half done. The file is
// written before logs are made or removed, so it is right: logs of topics it has deleted go, partitions that are missing are
// made. Logs it knows nothing of were put there by somebody and are taken in.
func openTopics(live *liveConfig, dir *commitlog.Dir, meta *metadataFile) (*topics, error) {
	cfg := live.base
	ts := &topics{
		cfg: cfg, live: live, dir: dir, meta: meta,
		byName: make(map[string]*topic),
		byID:   make(map[[16]byte]*topic),
	}
	gone := make(map[[16]byte]bool)
	err := meta.each(kindDeleted, func(key string, _ json.RawMessage) error {
		id, err := parseID(key)
		gone[id] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	logs := make(map[string][]*commitlog.Log)
	for _, l := range dir.Logs() {
		if gone[l.TopicID()] {
			if err := dir.Delete(l.Topic(), l.Partition()); err != nil {
				return nil, fmt.Errorf("delete topic %s: %w", l.Topic(), err)
			}
			continue
		}
		logs[l.Topic()] = append(logs[l.Topic()], l)
	}
	stored := make(map[string]storedTopic)
	err = meta.each(kindTopic, func(name string, raw json.RawMessage) error {
		var st storedTopic
		if err := json.Unmarshal(raw, &st); err != nil {
			return err
		}
		stored[name] = st
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, st := range stored {
		if id, err := parseID(st.ID); err == nil && gone[id] { // stopped between the two changes of forget
			if err := meta.remove(kindTopic, name); err != nil {
				return nil, err
			}
			delete(stored, name)
		}
	}
	for name, list := range logs {
		if _, known := stored[name]; known {
			continue
		}
		st := storedTopic{ID: idText(list[0].TopicID())}
		for _, l := range list {
			st.Partitions = max(st.Partitions, l.Partition()+1)
		}
		cfg.Logger.Warn("topic of unknown origin taken in", "topic", name, "partitions", st.Partitions)
		if err := meta.put(kindTopic, name, st); err != nil {
			return nil, err
		}
		stored[name] = st
	}
	for id := range gone {
		if err := meta.remove(kindDeleted, idText(id)); err != nil {
			return nil, err
		}
	}
	for name, st := range stored {
		id, err := parseID(st.ID)
		if err != nil {
			return nil, fmt.Errorf("%w: topic %s: %w", ErrCorruptMetadata, name, err)
		}
		if _, err := ts.install(name, id, st); err != nil {
			return nil, err
		}
	}
	return ts, nil
}

// install makes the logs of a topic that are not there, and enters it.
func (ts *topics) install(name string, id [16]byte, st storedTopic) (*topic, error) {
	t := &topic{name: name, id: id, internal: isInternal(name)}
	t.configs.Store(&st.Configs)
	parts, err := ts.openPartitions(t, nil, st)
	if err != nil {
		return nil, err
	}
	t.parts.Store(&parts)
	ts.mu.Lock()
	ts.byName[name], ts.byID[id] = t, t
	ts.count += len(parts)
	ts.mu.Unlock()
	ts.changes.Add(1)
	return t, nil
}

// openPartitions returns all partitions of a topic, given those that are open.
func (ts *topics) openPartitions(t *topic, have []*partition, st storedTopic) ([]*partition, error) {
	lc := effectiveConfig(ts.live.config.Load(), t.name, st.Configs)
	parts := slices.Clone(have)
	for i := int32(len(parts)); i < st.Partitions; i++ {
		l := ts.dir.Log(t.name, i)
		switch {
		case l == nil:
			var err error
			if l, err = ts.dir.Create(t.name, t.id, i, lc); err != nil {
				return nil, fmt.Errorf("create %s-%d: %w", t.name, i, err)
			}
		case l.TopicID() != t.id:
			return nil, fmt.Errorf("%w: %s-%d has topic id %s, the topic has %s", ErrCorruptMetadata, t.name, i, idText(l.TopicID()), idText(t.id))
		default:
			l.SetConfig(lc)
		}
		p := &partition{topic: t, index: i, log: l, epoch: l.LeaderEpoch()}
		l.OnAdvance(func(int64) { p.waiters.wake() })
		parts = append(parts, p)
	}
	return parts, nil
}

// create makes a topic. A negative number of partitions is the default.
func (ts *topics) create(name string, partitions int32, configs map[string]string, validateOnly bool) (*topic, error) {
	if partitions < 0 {
		partitions = ts.cfg.DefaultPartitions
	}
	if partitions == 0 {
		return nil, refusef(codeInvalidPartitions, "topic %s: at least 1 partition is needed", name)
	}
	ts.change.Lock()
	defer ts.change.Unlock()
	if err := ts.checkNew(name, configs); err != nil {
		return ts.get(name), err
	}
	if err := ts.roomFor(partitions); err != nil {
		return nil, err
	}
	id := commitlog.NewID()
	if validateOnly {
		return &topic{name: name}, nil
	}
	st := storedTopic{ID: idText(id), Partitions: partitions, Configs: maps.Clone(configs)}
	if err := ts.meta.put(kindTopic, name, st); err != nil {
		return nil, err
	}
	t, err := ts.install(name, id, st)
	if err != nil {
		ts.cfg.Logger.Error("create topic", "topic", name, "err", err)
		if ts.forget(name, id) == nil {
			ts.deleteLogs(name, id, int(partitions))
		}
		return nil, err
	}
	return t, nil
}

// noTopic refuses a name that no topic has, or that none can have.
func noTopic(name string) *topicError {
	if commitlog.CheckTopic(name) != nil {
		return refusef(codeInvalidTopic, "topic name %q: want 1 to 249 of a-z A-Z 0-9 . _ -, and neither . nor ..", name)
	}
	return refusef(codeUnknownTopicOrPartition, "no topic %s", name)
}

// checkNew refuses a topic that cannot be made because of its name, or of a config, whose values it writes as Kafka shows them.
func (ts *topics) checkNew(name string, configs map[string]string) error {
	if commitlog.CheckTopic(name) != nil {
		return noTopic(name)
	}
	if ts.get(name) != nil {
		return refusef(codeTopicExists, "topic '%s' already exists", name) // scripts look for these last words
	}
	if other := ts.colliding(name); other != "" {
		return refusef(codeInvalidTopic, "topic name %q: collides with %s in the names of metrics", name, other)
	}
	return checkConfigs(configs)
}

// colliding finds a topic whose name differs from another only in '.' and '_', which Kafka's metrics do not tell apart.
func (ts *topics) colliding(name string) string {
	if !strings.ContainsAny(name, "._") {
		return ""
	}
	plain := strings.ReplaceAll(name, ".", "_")
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	for other := range ts.byName {
		if len(other) == len(name) && strings.ReplaceAll(other, ".", "_") == plain {
			return other
		}
	}
	return ""
}

// roomFor refuses partitions beyond the limit.
func (ts *topics) roomFor(partitions int32) error {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	if ts.count+int(partitions) > ts.cfg.MaxPartitions {
		return refusef(codePolicyViolation, "%d partitions exist, with %d more it would be beyond the %d allowed", ts.count, partitions, ts.cfg.MaxPartitions)
	}
	return nil
}

// ensure returns a topic, made with the defaults if it is missing.
func (ts *topics) ensure(name string) (*topic, error) {
	if t := ts.get(name); t != nil {
		return t, nil
	}
	var configs map[string]string
	partitions := ts.cfg.DefaultPartitions
	if isInternal(name) {
		partitions = ts.cfg.OffsetsPartitions
		configs = map[string]string{"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600"}
	}
	t, err := ts.create(name, partitions, configs, false)
	if refusal := asRefusal(err); refusal != nil && refusal.code == codeTopicExists {
		return t, nil
	}
	return t, err
}

// grow adds partitions to a topic up to a number.
func (ts *topics) grow(name string, partitions int32, validateOnly bool) error {
	ts.change.Lock()
	defer ts.change.Unlock()
	t := ts.get(name)
	if t == nil {
		return refusef(codeUnknownTopicOrPartition, "no topic %s", name)
	}
	have := t.partitions()
	if t.internal {
		return refusef(codeInvalidPartitions, "the number of partitions of %s is fixed", name)
	}
	if int(partitions) <= len(have) {
		return refusef(codeInvalidPartitions, "topic %s has %d partitions, it cannot be given %d", name, len(have), partitions)
	}
	if err := ts.roomFor(partitions - int32(len(have))); err != nil {
		return err
	}
	if validateOnly {
		return nil
	}
	st := storedTopic{ID: idText(t.id), Partitions: partitions, Configs: *t.configs.Load()}
	if err := ts.meta.put(kindTopic, name, st); err != nil {
		return err
	}
	parts, err := ts.openPartitions(t, have, st)
	if err != nil {
		return err // the next start makes those that are missing
	}
	t.parts.Store(&parts)
	ts.mu.Lock()
	ts.count += len(parts) - len(have)
	ts.mu.Unlock()
	ts.changes.Add(1)
	return nil
}

// configure replaces what a topic sets of its own.
func (ts *topics) configure(name string, edit func(map[string]string) error, validateOnly bool) error {
	ts.change.Lock()
	defer ts.change.Unlock()
	t := ts.get(name)
	configs := make(map[string]string)
	if t != nil {
		maps.Copy(configs, *t.configs.Load())
	}
	if err := edit(configs); err != nil {
		return err
	}
	if err := checkConfigs(configs); err != nil {
		return err
	}
	if t == nil { // in Kafka, too, that comes after what is wrong with the configs
		return noTopic(name)
	}
	if validateOnly {
		return nil
	}
	parts := t.partitions()
	err := ts.meta.put(kindTopic, name, storedTopic{ID: idText(t.id), Partitions: int32(len(parts)), Configs: configs})
	if err != nil {
		return err
	}
	t.configs.Store(&configs)
	lc := effectiveConfig(ts.live.config.Load(), name, configs)
	for _, p := range parts {
		p.log.SetConfig(lc)
	}
	return nil
}

// delete removes a topic. Fetches that wait for it are told at once.
func (ts *topics) delete(t *topic) error {
	ts.change.Lock()
	defer ts.change.Unlock()
	if ts.getID(t.id) != t {
		return refusef(codeUnknownTopicOrPartition, "no topic %s", t.name)
	}
	if t.internal {
		return refusef(codeInvalidRequest, "topic %s is the broker's own", t.name)
	}
	if err := ts.forget(t.name, t.id); err != nil {
		return err
	}
	parts := t.partitions()
	ts.mu.Lock()
	delete(ts.byName, t.name)
	delete(ts.byID, t.id)
	ts.count -= len(parts)
	ts.mu.Unlock()
	ts.changes.Add(1)
	ts.deleteLogs(t.name, t.id, len(parts))
	for _, p := range parts {
		p.waiters.wake()
	}
	return nil
}

// forget takes a topic out of the metadata file and notes that its files are to go.
func (ts *topics) forget(name string, id [16]byte) error {
	if err := ts.meta.put(kindDeleted, idText(id), struct{}{}); err != nil {
		return err
	}
	return ts.meta.remove(kindTopic, name)
}

// deleteLogs deletes the logs of a forgotten topic. What it cannot do is done at the next start.
func (ts *topics) deleteLogs(name string, id [16]byte, partitions int) {
	var failed error
	for i := range int32(partitions) {
		if err := ts.dir.Delete(name, i); err != nil && !errors.Is(err, commitlog.ErrNotFound) {
			failed = errors.Join(failed, err)
		}
	}
	if failed == nil {
		failed = ts.meta.remove(kindDeleted, idText(id))
	}
	if failed != nil {
		ts.cfg.Logger.Error("delete topic", "topic", name, "err", failed)
	}
}

// reconfigure puts the broker's configs into force for all topics that do not set their own.
func (ts *topics) reconfigure() {
	ts.change.Lock()
	defer ts.change.Unlock()
	for _, t := range ts.list() {
		lc := effectiveConfig(ts.live.config.Load(), t.name, *t.configs.Load())
		for _, p := range t.partitions() {
			p.log.SetConfig(lc)
		}
	}
}
