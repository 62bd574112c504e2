// The stream of changed records (DESIGN 6.8): there is no journal; each record carries the number
// of its last change, and a reader gets what changed after its position. Another epoch, or no
// position: the whole list first.
#include <deque>

#include "site/live_site.h"

namespace interlink::site {

class LiveEventReader final : public EventReader {
 public:
  LiveEventReader(LiveSite& site, Caller caller, uint64_t id, uint64_t position)
      : site_(site), caller_(std::move(caller)), id_(id), position_(position) {}

  ~LiveEventReader() override {
    std::function<void()> dropped;  // destroyed after the lock
    MutexLock lock(site_.mutex_);
    const auto it = site_.tables_.nodes.find(caller_.node);
    if (it == site_.tables_.nodes.end() || it->second.reader != id_) return;
    it->second.reader = 0;
    dropped = std::move(it->second.wake);
    it->second.wake = nullptr;
  }

  Result<std::vector<interlink::v1::Event>> Next(size_t max) override {
    std::vector<interlink::v1::Event> events;
    MutexLock lock(site_.mutex_);
    if (site_.stopping_) return Unavailable("the site is shutting down");
    const auto it = site_.tables_.nodes.find(caller_.node);
    if (it == site_.tables_.nodes.end() || it->second.reader != id_) {
      return Aborted("another event stream of this node, or another link, has taken over");
    }
    Node& node = it->second;
    node.last_seen = site_.ports_.clock.Steady();
    while (events.size() < max && ListGoesOn()) {
      Append(list_.front(), events);
      list_.pop_front();
    }
    if (!list_.empty()) return events;
    while (events.size() < max) {
      const auto record = node.changed.upper_bound(position_);
      const auto other = node.others.upper_bound(position_);
      const bool has_record = record != node.changed.end();
      const bool has_other = other != node.others.end();
      if (!has_record && !has_other) break;
      if (has_record && (!has_other || record->first < other->first)) {
        position_ = record->first;
        // What is not durable is told when it is, under a higher number.
        if (!site_.DurableLocked(record->second)) continue;
        events.push_back(site_.EventOf(record->second, false));
      } else {
        position_ = other->first;
        events.push_back(other->second);
      }
      events.back().mutable_position()->set_epoch(site_.epoch_);
      events.back().mutable_position()->set_number(position_);
    }
    return events;
  }

  void OnReady(std::function<void()> wake) override {
    bool now = false;
    {
      MutexLock lock(site_.mutex_);
      const auto it = site_.tables_.nodes.find(caller_.node);
      if (it == site_.tables_.nodes.end() || it->second.reader != id_ || site_.stopping_ ||
          ListGoesOn() || (list_.empty() && HasChanges(it->second))) {
        now = true;
      } else {
        it->second.wake = wake;
      }
    }
    if (now) wake();
  }

  // A resync list: everything of the node at this moment, then an end mark. REQUIRES: the site's
  // lock.
  void ListLocked(const std::string& reason, const std::vector<interlink::v1::ImageRecord>& images,
                  uint64_t list_from) REQUIRES_LOCK(site_.mutex_) {
    interlink::v1::Event begin;
    begin.mutable_resync()->set_reason(reason);
    list_.push_back({std::nullopt, begin});
    uint64_t count = 0;
    const Node& node = site_.tables_.nodes.at(caller_.node);
    // Sandboxes come before their containers: numbers do not promise that, kinds do.
    for (const RecordKind kind : {RecordKind::kSandbox, RecordKind::kContainer}) {
      for (const auto& [number, key] : node.changed) {
        if (key.kind != kind) continue;
        list_.push_back({key, {}});
        ++count;
      }
    }
    for (const auto& image : images) {
      interlink::v1::Event event;
      *event.mutable_record()->mutable_image() = image;
      // Read after all that was told of it up to there: a node that knows that much takes it.
      event.mutable_record()->mutable_image()->set_revision(list_from);
      list_.push_back({std::nullopt, std::move(event)});
      ++count;
    }
    interlink::v1::Event end;
    end.mutable_end()->set_count(count);
    for (const auto& plugin : site_.plugins_) {
      for (const std::string& handler : plugin->handlers) {
        plugin->recovered ? end.mutable_end()->add_handlers_recovered(handler)
                          : end.mutable_end()->add_handlers_not_recovered(handler);
      }
    }
    list_.push_back({std::nullopt, std::move(end)});
    position_ = list_from;
  }

 private:
  struct Item {
    std::optional<RecordKey> key;  // else `event`
    interlink::v1::Event event;
  };

  // A list must not lack a record: it waits for one that is being committed.
  bool ListGoesOn() const REQUIRES_LOCK(site_.mutex_) {
    return !list_.empty() && (!list_.front().key || site_.DurableLocked(*list_.front().key));
  }
  bool HasChanges(const Node& node) const {
    return node.changed.upper_bound(position_) != node.changed.end() ||
           node.others.upper_bound(position_) != node.others.end();
  }
  void Append(const Item& item, std::vector<interlink::v1::Event>& events)
      REQUIRES_LOCK(site_.mutex_) {
    interlink::v1::Event event = item.key ? site_.EventOf(*item.key, true) : item.event;
    // Until the end mark the reader has no position that it could come back to.
    const bool end = event.has_end();
    event.mutable_position()->set_epoch(end ? site_.epoch_ : 0);
    event.mutable_position()->set_number(end ? position_ : 0);
    if (event.kind_case() != interlink::v1::Event::KIND_NOT_SET) events.push_back(std::move(event));
  }

  LiveSite& site_;
  const Caller caller_;
  const uint64_t id_;
  uint64_t position_;
  std::deque<Item> list_;
};

Result<std::unique_ptr<EventReader>> LiveSite::ReadEvents(const Caller& caller,
                                                          const interlink::v1::Position& after) {
  // What changes while the images are read is told once more after the list.
  uint64_t list_from = 0;
  {
    MutexLock lock(mutex_);
    list_from = NodeLocked(caller.node).next_number - 1;
  }
  const auto images = ListImages(caller.node);
  std::function<void()> old_wake;
  std::unique_ptr<LiveEventReader> reader;
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(CheckLink(caller));
    Node& node = NodeLocked(caller.node);
    node.reader = next_waiter_++;
    old_wake = std::exchange(node.wake, nullptr);  // it finds out that it has ended
    reader = std::make_unique<LiveEventReader>(*this, caller, node.reader, after.number());
    if (after.epoch() != epoch_ || after.number() >= node.next_number) {
      reader->ListLocked(after.epoch() == 0 ? "no position" : "the site has started again", images,
                         list_from);
    }
  }
  if (old_wake) old_wake();
  return std::unique_ptr<EventReader>(std::move(reader));
}

}  // namespace interlink::site
