package admin

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// Offsets are offsets to go to, by group, topic and partition. Those of group ""
// are for any.
type Offsets map[string]map[string]map[int32]int64

// of returns the offsets of a group.
func (o Offsets) of(group string) map[string]map[int32]int64 {
	if m, ok := o[group]; ok {
		return m
	}
	return o[""]
}

// partitions are those that the file names for a group.
func (o Offsets) partitions(group string) []TopicPartitions {
	s := topicSet{}
	for topic, ps := range o.of(group) {
		s.add(topic, slices.Collect(maps.Keys(ps))...)
	}
	return s.list()
}

// groups are the groups that the file names, sorted.
func (o Offsets) groups() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(o)), func(g string) bool { return g == "" })
}

// ReadOffsets reads the CSV that [WriteOffsets] and Kafka's tool write: lines of
// topic,partition,offset, or of group,topic,partition,offset.
func ReadOffsets(r io.Reader) (Offsets, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord = 0 // as many as in the first line
	c.TrimLeadingSpace = true
	o := Offsets{}
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := c.FieldPos(0)
		if len(fields) < 3 || len(fields) > 4 {
			return nil, fmt.Errorf("line %d: want topic,partition,offset or group,topic,partition,offset", line)
		}
		group := ""
		if len(fields) == 4 {
			group, fields = fields[0], fields[1:]
			if group == "" {
				return nil, fmt.Errorf("line %d: no group", line)
			}
		}
		partition, err := strconv.ParseInt(fields[1], 10, 32)
		if err != nil || partition < 0 || fields[0] == "" {
			return nil, fmt.Errorf("line %d: no partition: %q", line, fields[1])
		}
		offset, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil || offset < 0 {
			return nil, fmt.Errorf("line %d: no offset: %q", line, fields[2])
		}
		if o[group] == nil {
			o[group] = map[string]map[int32]int64{}
		}
		topics := o[group]
		if topics[fields[0]] == nil {
			topics[fields[0]] = map[int32]int64{}
		}
		if _, twice := topics[fields[0]][int32(partition)]; twice {
			return nil, fmt.Errorf("line %d: topic %s partition %d for the second time", line, fields[0], partition)
		}
		topics[fields[0]][int32(partition)] = offset
	}
	if len(o) == 0 {
		return nil, errors.New("nothing in it")
	}
	return o, nil
}

// WriteOffsets writes changes as CSV, with the group in front when withGroup.
func WriteOffsets(w io.Writer, changes []Change, withGroup bool) error {
	c := csv.NewWriter(w)
	for _, ch := range changes {
		fields := []string{ch.Topic, strconv.Itoa(int(ch.Partition)), strconv.FormatInt(ch.Offset, 10)}
		if withGroup {
			fields = append([]string{ch.Group}, fields...)
		}
		if err := c.Write(fields); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// ReadRecordOffsets reads which records to delete: the JSON that Kafka's tool takes,
// {"partitions":[{"topic":"t","partition":0,"offset":7}]}, or lines of
// topic,partition,offset. Offset -1 is all.
func ReadRecordOffsets(r io.Reader) (Offsets, error) {
	text, err := io.ReadAll(io.LimitReader(r, 64<<20))
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		o, err := ReadOffsets(bytes.NewReader(text))
		if err == nil && len(o.groups()) > 0 {
			err = errors.New("want lines of topic,partition,offset, without a group")
		}
		return o, err
	}
	var file struct {
		Version    int `json:"version"`
		Partitions []struct {
			Topic     string `json:"topic"`
			Partition *int32 `json:"partition"`
			Offset    *int64 `json:"offset"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	topics := map[string]map[int32]int64{}
	for i, p := range file.Partitions {
		if p.Topic == "" || p.Partition == nil || *p.Partition < 0 || p.Offset == nil || *p.Offset < -1 {
			return nil, fmt.Errorf("entry %d: want topic, partition and offset", i+1)
		}
		if topics[p.Topic] == nil {
			topics[p.Topic] = map[int32]int64{}
		}
		if _, twice := topics[p.Topic][*p.Partition]; twice {
			return nil, fmt.Errorf("entry %d: topic %s partition %d for the second time", i+1, p.Topic, *p.Partition)
		}
		topics[p.Topic][*p.Partition] = *p.Offset
	}
	if len(topics) == 0 {
		return nil, errors.New("nothing in it")
	}
	return Offsets{"": topics}, nil
}
