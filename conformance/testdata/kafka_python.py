"""What kafka-python does with a broker: one word a line for each thing that went well."""

import sys
import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import CommitFailedError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata

ADDR = sys.argv[1]
PATIENCE = 120  # seconds


def equal(got, want, what):
    if got != want:
        raise SystemExit("%s: got %r, want %r" % (what, got, want))


def values(n):
    return [b"v%d" % i for i in range(n)]


def admin():
    a = KafkaAdminClient(bootstrap_servers=ADDR)
    a.create_topics([NewTopic("py", 2, 1, topic_configs={"retention.ms": "3600000"}), NewTopic("py-group", 4, 1)])
    try:
        a.create_topics([NewTopic("py", 2, 1)])
        raise SystemExit("made twice")
    except TopicAlreadyExistsError:
        pass
    a.create_partitions({"py": NewPartitions(3)})
    equal(len(a.describe_topics(["py"])[0]["partitions"]), 3, "partitions")
    configs = a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "py", {"retention.ms": None})])
    equal(configs[0].resources[0][4][0][:2], ("retention.ms", "3600000"), "config")
    a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "py", {"retention.ms": "7200000"})])
    equal(a.describe_cluster()["brokers"][0]["node_id"], 1, "cluster")
    a.close()


def produce():
    for codec in (None, "gzip", "snappy", "lz4", "zstd"):
        for acks in ("all", 1, 0):
            topic = "py-%s-%s" % (codec, acks)
            p = KafkaProducer(bootstrap_servers=ADDR, compression_type=codec, acks=acks, linger_ms=5)
            for v in values(300):
                p.send(topic, value=v, key=b"k", headers=[("h", v)], partition=0)
            p.flush(PATIENCE)
            p.close()
            c = KafkaConsumer(bootstrap_servers=ADDR)
            tp = TopicPartition(topic, 0)
            c.assign([tp])
            c.seek_to_beginning(tp)
            got = []
            for record in c:
                equal(record.headers, [("h", record.value)], "headers")
                got.append(record.value)
                if len(got) == 300:
                    break
            equal(got, values(300), topic)
            equal(c.beginning_offsets([tp]), {tp: 0}, "beginning")
            equal(c.end_offsets([tp]), {tp: 300}, "end")
            equal(c.offsets_for_times({tp: 0})[tp].offset, 0, "by time")
            c.close()


def member(got, stop, owned):
    c = KafkaConsumer("py-group", bootstrap_servers=ADDR, group_id="py-group", auto_offset_reset="earliest",
                      enable_auto_commit=False, session_timeout_ms=60000, heartbeat_interval_ms=100)
    while not stop.is_set():
        for records in c.poll(100).values():
            got.extend(r.value for r in records)
        owned[:] = c.assignment()
        if got:
            try:
                c.commit()
            except CommitFailedError:
                pass  # the group is changing: the next time
    c.close(autocommit=False)


def wait(what, ok):
    end = time.time() + PATIENCE
    while not ok():
        if time.time() > end:
            raise SystemExit(what)
        time.sleep(0.02)


def group():
    p = KafkaProducer(bootstrap_servers=ADDR)

    def send(n):
        for i, v in enumerate(values(n)):
            p.send("py-group", value=v, partition=i % 4)
        p.flush(PATIENCE)

    members = []
    for _ in range(2):
        got, stop, owned = [], threading.Event(), []
        t = threading.Thread(target=member, args=(got, stop, owned), daemon=True)
        members.append((got, stop, owned, t))
    one, two = members
    send(100)
    one[3].start()
    wait("the first has not all", lambda: len(one[2]) == 4 and set(one[0]) == set(values(100)))
    two[3].start()
    wait("not half each", lambda: len(one[2]) == 2 and len(two[2]) == 2)
    one[1].set()
    one[3].join(PATIENCE)
    wait("no takeover", lambda: len(two[2]) == 4)
    send(40)
    wait("the second has not the rest", lambda: set(values(40)) <= set(two[0]))
    a = KafkaAdminClient(bootstrap_servers=ADDR)
    equal(("py-group", "consumer") in a.list_consumer_groups(), True, "groups")
    equal(a.describe_consumer_groups(["py-group"])[0].state, "Stable", "state")
    two[1].set()
    two[3].join(PATIENCE)
    offsets = a.list_consumer_group_offsets("py-group")
    equal(sum(o.offset for o in offsets.values()), 140, "committed")
    c = KafkaConsumer(bootstrap_servers=ADDR, group_id="py-group", enable_auto_commit=False)
    tp = TopicPartition("py-group", 0)
    c.assign([tp])
    c.commit({tp: OffsetAndMetadata(3, "note")})
    equal(c.committed(tp), 3, "committed by hand")
    c.close(autocommit=False)
    a.delete_consumer_groups(["py-group"])
    a.delete_topics(["py-group"])
    a.close()
    p.close()


for name in sys.argv[2:]:
    {"admin": admin, "produce": produce, "group": group}[name]()
print("well")
