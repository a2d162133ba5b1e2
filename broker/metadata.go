package broker

import (
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Metadata (key 3), versions 0 to 13. KIP-4, KIP-78 (cluster id), KIP-204, KIP-320 (leader epochs), KIP-430 (authorised
// operations), KIP-516 (topic ids), KIP-700, KIP-1102 (v13).
//
// Up to version 3 there is no flag, and asking for a topic creates it. No topics means all in version 0 and none from
// version 1 on, where null means all.
func metadataAPI() api {
	return api{
		key: 3, min: 0, max: 13, serve: serveMetadata,
		outline: "[ uuid@10 string ] bool@4 bool@8-10 bool@8",
	}
}

// noOperations is what clients take for "not told".
const noOperations = -2147483648

func serveMetadata(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.MetadataRequest)
	b := rq.broker()
	resp := kmsg.NewPtrMetadataResponse()
	host, port := rq.conn.advertised()
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID, broker.Host, broker.Port = b.cfg.NodeID, host, port
	resp.Brokers = append(resp.Brokers, broker)
	resp.ClusterID = kmsg.StringPtr(b.dir.ClusterID())
	resp.ControllerID = b.cfg.NodeID
	resp.AuthorizedOperations = rq.clusterOperations(req.IncludeClusterAuthorizedOperations)
	if req.Topics == nil || rq.version == 0 && len(req.Topics) == 0 {
		for _, t := range b.topics.list() {
			if rq.mayTopic(kmsg.ACLOperationDescribe, t.name) {
				resp.Topics = append(resp.Topics, rq.describeTopic(t, req.IncludeTopicAuthorizedOperations))
			}
		}
		rq.respond(resp)
		return nil
	}
	create := (rq.version < 4 || req.AllowAutoTopicCreation) && !b.cfg.DisableAutoCreate
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := rq.metadataTopic(q, create, req.IncludeTopicAuthorizedOperations)
		rq.code(code(rt.ErrorCode))
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}

// metadataTopic answers for one topic, asked for by name or, from version 10 on, by id; what has both is asked for by its id.
func (rq *request) metadataTopic(q *kmsg.MetadataRequestTopic, create, operations bool) kmsg.MetadataResponseTopic {
	b := rq.broker()
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.TopicID = q.Topic, q.TopicID
	rt.AuthorizedOperations = noOperations
	var t *topic
	if q.Topic == nil || q.TopicID != [16]byte{} {
		if t = b.topics.getID(q.TopicID); t == nil {
			rt.Topic, rt.ErrorCode = nil, int16(codeUnknownTopicID)
			return rt
		}
		if !rq.mayTopic(kmsg.ACLOperationDescribe, t.name) { // its id is no secret, its name is
			rt.Topic = nil
			rt.ErrorCode = int16(codeTopicAuthorization)
			return rt
		}
		return rq.describeTopic(t, operations)
	}
	if !rq.mayTopic(kmsg.ACLOperationDescribe, *q.Topic) { // whether there is one or not
		rt.ErrorCode = int16(codeTopicAuthorization)
		return rt
	}
	if t = b.topics.get(*q.Topic); t == nil && create {
		if !rq.mayCluster(kmsg.ACLOperationCreate) && !rq.mayTopic(kmsg.ACLOperationCreate, *q.Topic) {
			rt.ErrorCode = int16(codeTopicAuthorization)
			return rt
		}
		var err error
		if t, err = b.topics.ensure(*q.Topic); err != nil {
			rt.ErrorCode = int16(asRefusal(err).code)
			return rt
		}
	}
	if t == nil {
		rt.AuthorizedOperations = rq.operations(operations, kmsg.ACLResourceTypeTopic, *q.Topic)
		rt.ErrorCode = int16(noTopic(*q.Topic).code)
		return rt
	}
	return rq.describeTopic(t, operations)
}

func (rq *request) describeTopic(t *topic, operations bool) kmsg.MetadataResponseTopic {
	b := rq.broker()
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.TopicID, rt.IsInternal = kmsg.StringPtr(t.name), t.id, t.internal
	rt.AuthorizedOperations = rq.operations(operations, kmsg.ACLResourceTypeTopic, t.name)
	parts := t.partitions()
	rt.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(parts))
	for _, p := range parts {
		rp := kmsg.NewMetadataResponseTopicPartition()
		rp.Partition, rp.Leader, rp.LeaderEpoch = p.index, b.cfg.NodeID, p.epoch
		rp.Replicas, rp.ISR = b.self, b.self
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// advertised is where clients are told to come: the configured address or the one this client dialled.
func (c *conn) advertised() (host string, port int32) {
	configured := c.b.cfg.AdvertisedAddress
	if l := c.session.listener; l != nil {
		configured = l.cfg.AdvertisedAddress
	}
	if configured != "" {
		host, port, _ = splitHostPort(configured, 1)
		return host, port
	}
	addr := c.nc.LocalAddr()
	if tcp, ok := addr.(*net.TCPAddr); ok {
		if name := c.session.dialled; name != "" {
			return name, int32(tcp.Port) // which is what the broker's certificate is for
		}
		return (&net.IPAddr{IP: tcp.IP, Zone: tcp.Zone}).String(), int32(tcp.Port)
	}
	if tcp, ok := c.b.Addr().(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() {
		return (&net.IPAddr{IP: tcp.IP, Zone: tcp.Zone}).String(), int32(tcp.Port)
	}
	return inProcessHost, inProcessPort // whoever came by Dial has a dialer that ignores it
}

const (
	inProcessHost = "embedded"
	inProcessPort = 9092
)
