# SPDX-License-Identifier: GPL-2.0-only
#
# make            build the module for the running kernel (or KVER=<release>)
# make demo       see it at work, in a virtual machine
# make check      the test suite, in virtual machines (KERNELS="6.1 6.12")
# make bench      what claimed and stock maps cost (KERNELS, ROWS="hash*", REAL=1)
# make fuzz       random operations on claimed and stock maps (KERNELS, SEED, OPS,
#                 REPLAY=file)
# make soak       everything at once, at random, for MINUTES (KERNELS, SEED)
# make lint       what the code has to pass besides
# make shell      a root shell in the test machine, module loaded (KERNEL=6.12)
# make install    install the module for KVER, and the command redirmap, its
#                 manual page and bash completion below PREFIX (/usr/local)
# make install-tools, uninstall-tools
#                 all but the module (DESTDIR for packages)
#
# What a target needs from Debian it installs, once.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
KERNELS ?= 6.1 6.12
KERNEL ?= 6.12

BUILD = build/$(KVER)

all: modules

# Kbuild builds beside its sources; links to them let each kernel have a
# folder of its own.
modules:
	@scripts/build-module $(KVER) $(BUILD)

check:
	@scripts/check $(KERNELS)

demo:
	@scripts/demo $(KERNEL)

bench:
	@scripts/bench $(if $(REAL),--real "$(REAL)") $(if $(ROWS),--rows "$(ROWS)") $(KERNELS)

fuzz:
	@scripts/fuzz $(if $(SEED),--seed $(SEED)) $(if $(OPS),--ops $(OPS)) \
		$(if $(REPLAY),--replay "$(REPLAY)") $(KERNELS)

soak:
	@scripts/soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(KERNELS)

lint:
	@scripts/lint $(KERNELS)

shell:
	@scripts/shell $(KERNEL)

install: modules install-tools
	$(MAKE) -s -C $(KDIR) M=$(CURDIR)/$(BUILD) modules_install
	depmod $(KVER)

PREFIX ?= /usr/local
sbin = $(DESTDIR)$(PREFIX)/sbin
lib = $(DESTDIR)$(PREFIX)/lib/redirmap
man8 = $(DESTDIR)$(PREFIX)/share/man/man8
completions = $(DESTDIR)$(PREFIX)/share/bash-completion/completions

# The command lies beside its modules; it finds them through the link.
install-tools:
	@scripts/deps tools
	install -d $(sbin) $(lib) $(man8) $(completions)
	install -m 644 scripts/redirmap_*.py $(lib)
	install scripts/redirmap $(lib)
	ln -sfr $(lib)/redirmap $(sbin)/redirmap
	rst2man --strict Documentation/redirmap.8.rst > $(man8)/redirmap.8
	install -m 644 scripts/redirmap-completion.bash $(completions)/redirmap

uninstall-tools:
	rm -rf $(lib)
	rm -f $(sbin)/redirmap $(man8)/redirmap.8 $(completions)/redirmap

clean:
	rm -rf build

.PHONY: all modules check demo bench fuzz soak lint shell install clean
.PHONY: install-tools uninstall-tools
