// `interlink-cri wipe`: everything of this node goes, here and at the site; or the site is declared
// gone for good.
#include "node/limits.h"
#include "node/live_node.h"

namespace interlink::node {

void LiveNode::Wipe(const Call& call, const std::string& forget_site, Reply<std::string> reply) {
  Status why;
  std::string text;
  {
    MutexLock lock(mutex_);
    std::string living;
    size_t count = 0;
    for (const auto& [id, sandbox] : tables_.sandboxes) {
      if (sandbox.stored.fact().seen() >= interlink::v1::SEEN_DOWN) continue;
      if (++count <= 5) living += " " + id.str().substr(0, 13);
    }
    Change change;
    std::vector<std::string> images;
    why = stopping_ ? ShuttingDown() : call.Check("wipe");
    if (!why.ok()) {
      // Nothing is touched.
    } else if (!forget_site.empty()) {
      if (forget_site != options_.site_name && forget_site != meta_.info().site()) {
        why = InvalidArgument("\"" + forget_site + "\" is not this node's site: that is \"" +
                              options_.site_name + "\"");
      } else {
        ForgetAllLocked(change);
      }
      text = std::to_string(change.sandboxes.size()) +
             " sandboxes are forgotten; should the site return they are removed there";
    } else {
      why = ReachableLocked();
      if (why.ok() && count > 0) {
        why = FailedPrecondition(std::to_string(count) + " sandboxes are alive:" + living +
                                 (count > 5 ? " ..." : "") +
                                 "; stop and remove them first (crictl rmp -fa)");
      }
      for (auto& [id, sandbox] : tables_.sandboxes) {
        if (!why.ok()) break;  // refused: not one of them is touched
        sandbox.stored.clear_untold();
        sandbox.stored.set_wanted(interlink::v1::WANTED_REMOVE);
        change.sandboxes.push_back(id);
        change.drive.push_back(id);
      }
      for (const auto& [id, image] : tables_.images) images.push_back(id);
      text = std::to_string(change.sandboxes.size()) + " ended sandboxes and " +
             std::to_string(images.size()) + " images are being removed";
    }
    if (why.ok()) {
      const auto answer = std::make_shared<Answer<std::string>>(reply);  // owner: the commit
      CommitLocked(change, false, [this, answer, text, images](const Status& status) {
        if (status.ok()) RemoveImages(images);
        answer->Give(status.ok() ? Result<std::string>(text) : Result<std::string>(status));
      });
    }
  }
  if (!why.ok()) reply(why);
}

void LiveNode::RemoveImages(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    const Status posted = steps_.PostAlways("image/" + id, [this, id] {
      const Status removed = RemoveImage(Call::WithTimeout(kStep), id);
      if (!removed.ok())
        ports_.log.Warning("an image is not removed",
                           {{"image", id}, {"error", removed.message()}});
    });
    if (!posted.ok()) ports_.log.Debug("an image is not removed", {{"why", posted.message()}});
  }
}

// Not erased: the records go on asking for the removal should the site return.
void LiveNode::ForgetAllLocked(Change& change) {
  for (auto& [id, sandbox] : tables_.sandboxes) {
    sandbox.stored.set_abandoned(true);
    sandbox.stored.set_wanted(interlink::v1::WANTED_REMOVE);
    change.sandboxes.push_back(id);
    change.drive.push_back(id);
  }
  for (auto& [id, container] : tables_.containers) {
    container.stored.set_abandoned(true);
    container.stored.set_wanted(interlink::v1::WANTED_REMOVE);
    change.containers.push_back(id);
  }
}

}  // namespace interlink::node
