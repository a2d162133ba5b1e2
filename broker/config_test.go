package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// TestConfig has every value that is not allowed refused by its name.
func TestConfig(t *testing.T) {
	for _, a := range []broker.ClientAuth{broker.ClientAuthNone, broker.ClientAuthRequested, broker.ClientAuthRequired} {
		if got, err := broker.ParseClientAuth(a.String()); err != nil || got != a {
			t.Errorf("client auth %v is read as %v, %v", a, got, err)
		}
	}
	if _, err := broker.ParseClientAuth("maybe"); err == nil {
		t.Error("client auth maybe")
	}
	if err := (broker.Config{DataDir: "x"}).Validate(); err != nil {
		t.Errorf("the zero config with a directory: %v", err)
	}
	for field, change := range map[string]func(*broker.Config){
		"DataDir":             func(c *broker.Config) { c.DataDir = "" },
		"Listen":              func(c *broker.Config) { c.Listen = "localhost" },
		"AdvertisedAddress":   func(c *broker.Config) { c.AdvertisedAddress = ":9092" },
		"NodeID":              func(c *broker.Config) { c.NodeID = -1 },
		"ClusterID":           func(c *broker.Config) { c.ClusterID = "a b" },
		"Durability":          func(c *broker.Config) { c.Durability = 9 },
		"DefaultPartitions":   func(c *broker.Config) { c.DefaultPartitions = 100_000 },
		"MaxPartitions":       func(c *broker.Config) { c.MaxPartitions = -1 },
		"SegmentBytes":        func(c *broker.Config) { c.SegmentBytes = 10 },
		"SegmentAge":          func(c *broker.Config) { c.SegmentAge = -1 },
		"MaxMessageBytes":     func(c *broker.Config) { c.MaxMessageBytes = 200 << 20 },
		"MaxRequestBytes":     func(c *broker.Config) { c.MaxRequestBytes = 10 },
		"MaxInFlightBytes":    func(c *broker.Config) { c.MaxInFlightBytes = 10 },
		"MaxFetchBytes":       func(c *broker.Config) { c.MaxFetchBytes = 10 },
		"MaxConnectionsPerIP": func(c *broker.Config) { c.MaxConnectionsPerIP = -1 },
		"MaxConnections":      func(c *broker.Config) { c.MaxConnections = -1 },
		"MaxQueued":           func(c *broker.Config) { c.MaxQueued = -1 },
		"IdleTimeout":         func(c *broker.Config) { c.IdleTimeout = -1 },
		"FrameTimeout":        func(c *broker.Config) { c.FrameTimeout = -1 },
		"MaxACLs":             func(c *broker.Config) { c.MaxACLs = -1 },
		"MaxQuotaClients":     func(c *broker.Config) { c.MaxQuotaClients = -1 },
		"SuperUsers":          func(c *broker.Config) { c.Authorize, c.SuperUsers = true, []string{"admin"} },
		"Authorize":           func(c *broker.Config) { c.SuperUsers = []string{"User:admin"} },
		"HandshakeTimeout":    func(c *broker.Config) { c.HandshakeTimeout = -1 },
		"Users": func(c *broker.Config) {
			c.Users = []broker.User{{Name: "a", Password: "b"}, {Name: "a", Password: "c"}}
		},
		"Users: \"\"":           func(c *broker.Config) { c.Users = []broker.User{{Password: "b"}} },
		"Listeners: PLAINTEXT":  func(c *broker.Config) { c.Listen, c.Listeners = ":0", []broker.Listener{{Address: ":0"}} },
		"Listeners: x: Address": func(c *broker.Config) { c.Listeners = []broker.Listener{{Name: "x"}} },
		"Listeners: x: AdvertisedAddress": func(c *broker.Config) {
			c.Listeners = []broker.Listener{{Name: "x", Address: ":0", AdvertisedAddress: ":1"}}
		},
		"Listeners: SASL_PLAINTEXT: SASLMechanisms": func(c *broker.Config) {
			c.Listeners = []broker.Listener{{Address: ":0", SASLMechanisms: []string{"GSSAPI"}}}
		},
		"Listeners: SSL: TLS: CertFile": func(c *broker.Config) {
			c.Listeners = []broker.Listener{{Address: ":0", TLS: &broker.TLSConfig{}}}
		},
		"Listeners: SASL_SSL: TLS: ClientCAFile": func(c *broker.Config) {
			c.Listeners = []broker.Listener{{Address: ":0", TLS: &broker.TLSConfig{CertFile: "x", ClientAuth: broker.ClientAuthRequired}, SASLMechanisms: []string{"PLAIN"}}}
		},
		"Listeners: SSL: TLS: PrincipalRules": func(c *broker.Config) {
			c.Listeners = []broker.Listener{{Address: ":0", TLS: &broker.TLSConfig{CertFile: "x", PrincipalRules: "x"}}}
		},
		"GroupInitialRebalanceDelay":        func(c *broker.Config) { c.GroupInitialRebalanceDelay = -1 },
		"GroupMinSessionTimeout":            func(c *broker.Config) { c.GroupMinSessionTimeout = time.Hour },
		"GroupMaxSessionTimeout":            func(c *broker.Config) { c.GroupMaxSessionTimeout = 1000 * time.Hour },
		"GroupMaxSize":                      func(c *broker.Config) { c.GroupMaxSize = -1 },
		"GroupConsumerMaxSize":              func(c *broker.Config) { c.GroupConsumerMaxSize = -1 },
		"GroupConsumerSessionTimeout":       func(c *broker.Config) { c.GroupConsumerSessionTimeout = time.Second },
		"GroupConsumerMinSessionTimeout":    func(c *broker.Config) { c.GroupConsumerMinSessionTimeout = time.Hour },
		"GroupConsumerMaxSessionTimeout":    func(c *broker.Config) { c.GroupConsumerMaxSessionTimeout = -1 },
		"GroupConsumerHeartbeatInterval":    func(c *broker.Config) { c.GroupConsumerHeartbeatInterval = time.Minute },
		"GroupConsumerMinHeartbeatInterval": func(c *broker.Config) { c.GroupConsumerMinHeartbeatInterval = time.Hour },
		"GroupConsumerMaxHeartbeatInterval": func(c *broker.Config) { c.GroupConsumerMaxHeartbeatInterval = -1 },
		"TransactionMaxTimeout":             func(c *broker.Config) { c.TransactionMaxTimeout = -1 },
		"TransactionCheckInterval":          func(c *broker.Config) { c.TransactionCheckInterval = -1 },
		"TransactionalIDExpiration":         func(c *broker.Config) { c.TransactionalIDExpiration = -1 },
		"MaxTransactionalIDs":               func(c *broker.Config) { c.MaxTransactionalIDs = -1 },
		"MaxGroups":                         func(c *broker.Config) { c.MaxGroups = -1 },
		"MaxGroupBytes":                     func(c *broker.Config) { c.MaxGroupBytes = 1 },
		"OffsetsPartitions":                 func(c *broker.Config) { c.OffsetsPartitions = 51 },
		"RetentionCheckInterval":            func(c *broker.Config) { c.RetentionCheckInterval = -1 },
		"ProducerIDExpiration":              func(c *broker.Config) { c.ProducerIDExpiration = -1 },
	} {
		cfg := broker.DefaultConfig()
		cfg.DataDir = "x"
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, d := range []broker.Durability{broker.Fsync, broker.PageCache} {
		if got, err := broker.ParseDurability(d.String()); err != nil || got != d {
			t.Errorf("durability %v is read as %v, %v", d, got, err)
		}
	}
	if _, err := broker.ParseDurability("maybe"); err == nil {
		t.Error("durability maybe")
	}
}

// TestAdvertised has clients told what is configured, and that there are no transactions.
func TestAdvertised(t *testing.T) {
	cfg := testConfig(t)
	cfg.AdvertisedAddress, cfg.NodeID, cfg.ClusterID = "kafka.example.net:19092", 7, "own-cluster"
	b := open(t, cfg)
	c := rawDial(t, b)
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	r := c.request(req).(*kmsg.MetadataResponse)
	if len(r.Brokers) != 1 || r.Brokers[0].Host != "kafka.example.net" || r.Brokers[0].Port != 19092 || r.Brokers[0].NodeID != 7 || *r.ClusterID != "own-cluster" {
		t.Errorf("metadata: %+v", r)
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.SetVersion(4)
	find.CoordinatorKeys = []string{"g"}
	if r := c.request(find).(*kmsg.FindCoordinatorResponse).Coordinators[0]; r.ErrorCode != 0 || r.NodeID != 7 || r.Host != "kafka.example.net" {
		t.Errorf("coordinator: %+v", r)
	}
	find.CoordinatorType = 1
	if r := c.request(find).(*kmsg.FindCoordinatorResponse).Coordinators[0]; r.ErrorCode != 0 || r.NodeID != 7 {
		t.Errorf("coordinator of transactions: %+v", r)
	}
	find.CoordinatorType = 2
	if r := c.request(find).(*kmsg.FindCoordinatorResponse).Coordinators[0]; r.ErrorCode != 42 {
		t.Errorf("coordinator of share groups: %+v", r)
	}
}

// TestUnreadAnswers asks for a great deal and reads nothing: the broker stops reading instead of holding it all.
func TestUnreadAnswers(t *testing.T) {
	cfg := testConfig(t)
	cfg.FrameTimeout = 200 * time.Millisecond
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.SetVersion(3)
	req.IncludeDocumentation, req.IncludeSynonyms = true, true
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, "flows"
	for range 50 {
		req.Resources = append(req.Resources, rr)
	}
	frame := c.frame(req)
	for range 10_000 {
		if _, err := c.Write(frame); err != nil {
			break // closed, since nothing was read
		}
	}
	eventually(t, "the connection is given up", func() bool { return b.Stats().ConnectionsSlow > 0 && b.Stats().Connections <= 1 })
}
