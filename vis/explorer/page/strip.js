// The strip of samples: pictures, or other inputs of the model.

import { ask, blob, look, upload } from "./api.js";
import { element } from "./elements.js";

export class Strip {
  /** `slots` are the model's inputs; `chosen` is called with the number of a sample, `failed` with an error. */
  constructor(held, about, chosen, failed, say) {
    Object.assign(this, { held, slots: about.slots, chosen, failed, say });
    this.samples = about.samples.map((name) => ({ name }));
    this.pictured = this.slots.findIndex((slot) => slot.kind === "picture" || slot.kind === "volume");
    held.classList.toggle("words", this.pictured < 0);
    this.seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        this.seen.unobserve(target);
        this.thumbnail(target);
      }
    });
  }

  async thumbnail(button) {
    const number = Number(button.dataset.number);
    try {
      if (this.pictured >= 0) button.querySelector("img").src = await this.url(number, this.pictured);
      else button.querySelector("small").textContent = (await this.told(number)).preview;
    } catch (error) {
      button.title = error.message;
    }
  }

  /** Return the address of a sample's picture in memory. */
  url(number, slot) {
    const urls = this.samples[number].coming ??= {};
    return urls[slot] ??= blob(`picture/${number}/${slot}`).then((data) => URL.createObjectURL(data));
  }

  told(number) {
    return this.samples[number].told ??= look(`sample/${number}`);
  }

  /** Return what a column needs of a sample. */
  async sample(number) {
    const urls = await Promise.all(this.slots.map((slot, i) => (slot.kind === "picture" ? this.url(number, i) : undefined)));
    return { name: this.samples[number].name, slots: this.slots, urls };
  }

  draw(chosen) {
    for (let number = this.held.children.length; number < this.samples.length; number++) {
      const small = this.pictured >= 0 ? element("img", { alt: "" }) : element("small");
      const button = element("button", { type: "button", "data-number": number }, small, element("span", { text: this.samples[number].name }));
      button.addEventListener("click", () => this.chosen(number));
      this.held.append(button);
      this.seen.observe(button);
    }
    for (const button of this.held.children) button.setAttribute("aria-pressed", String(Number(button.dataset.number) === chosen));
  }

  /** Add files; a picture of a model with several inputs is put into a slot of the sample that is shown. */
  async add(files, number, slot = 0) {
    for (const given of files) {
      const name = given.name || "pasted.png";
      await this.put(() => upload({ name, number, slot }, given), `Reading ${name}.`);
    }
  }

  /** Add a sample in which an input is what was written. */
  write(number, slot, text) {
    return this.put(() => ask("write", { number, slot, text }), "Reading what was written.");
  }

  async put(send, doing) {
    try {
      this.say(doing);
      const { number, names } = await send();
      names.forEach((name, i) => {
        while (this.samples.length <= number + i) this.samples.push({ name: `sample ${this.samples.length}` });
        this.samples[number + i] = { name };
      });
      this.failed(null);
      this.say(`${names[0]}${names.length > 1 ? ` and ${names.length - 1} more are` : " is"} added, in memory only.`);
      this.chosen(number);
    } catch (error) {
      this.say("");
      this.failed(error);
    }
  }
}
